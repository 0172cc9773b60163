package span_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/span"
)

func TestAMarkWithoutATraceCostsNoMemory(t *testing.T) {
	ctx := t.Context()
	for range 5 { // as deep as a request's
		ctx = context.WithValue(ctx, t, 1)
	}
	if n := testing.AllocsPerRun(100, func() {
		_, mark := span.Begin(ctx, "transaction")
		mark.Word("contact.kind", "phone")
		mark.Number("attempt", 1)
		mark.End(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnErrorIsNotedByItsKeyAlone(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	secret := errors.New("dial 13800001234: refused")
	for _, err := range []error{
		nil, secret, recovery.BadInput("error.code.wrong").Because(secret), recovery.Unavailable("error.unavailable", time.Second).Because(secret),
	} {
		ctx, around := provider.Tracer("t").Start(t.Context(), "around")
		_, mark := span.Begin(ctx, "within")
		mark.End(err)
		around.End()
	}
	all := fmt.Sprintf("%+v", kept.GetSpans())
	if strings.Contains(all, "13800001234") {
		t.Error("an error's text is in a span")
	}
	for _, want := range []string{"error.code.wrong", "error.unavailable"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not noted", want)
		}
	}
	failed := 0
	for _, s := range kept.GetSpans() {
		if s.Status.Description != "" {
			failed++
		}
		if s.Name == "within" && s.Parent.SpanID() == [8]byte{} {
			t.Error("a mark stands alone")
		}
	}
	if failed != 2 { // ours and the database's, not the caller's
		t.Errorf("%d spans failed", failed)
	}
}

func BenchmarkOff(b *testing.B) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, mark := span.Begin(ctx, "transaction")
		mark.End(nil)
	}
}
