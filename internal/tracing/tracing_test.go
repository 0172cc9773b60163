package tracing_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wanbi/wanbi/internal/tracing"
)

func TestARequestIsNamedByItsRoute(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdk.NewTracerProvider(sdk.WithSyncer(kept)))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cases/{case}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	var outer string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracer.Handler(mux).ServeHTTP(w, r)
		outer = r.Pattern
	})
	request := httptest.NewRequest(http.MethodGet, "/cases/secret?code=123456", nil)
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	h.ServeHTTP(httptest.NewRecorder(), request)
	spans := kept.GetSpans()
	if len(spans) != 1 || spans[0].Name != "GET /cases/{case}" || outer != "GET /cases/{case}" {
		t.Fatalf("%+v; outside it is %q", spans, outer)
	}
	if spans[0].SpanContext.TraceID().String() == "4bf92f3577b34da6a3ce929d0e0e4736" || spans[0].Parent.IsValid() {
		t.Error("a stranger chose the trace")
	}
	for _, a := range spans[0].Attributes {
		if text := a.Value.String(); strings.Contains(text, "secret") || strings.Contains(text, "123456") {
			t.Errorf("%s is %s", a.Key, text)
		}
	}
}

func TestOffIsTheHandlerItself(t *testing.T) {
	var off *tracing.Tracer
	mux := http.NewServeMux()
	if got := off.Handler(mux); got != http.Handler(mux) {
		t.Error("something stands around the handler")
	}
	if off.Sender(nil) != nil {
		t.Error("something stands around no sender")
	}
	off.Sequenced(time.Now(), 1, nil)
}

func TestTheSequencerIsTracedWithItsTime(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	tracer := tracing.New(sdk.NewTracerProvider(sdk.WithSyncer(kept)))
	began := time.Now().Add(-time.Minute)
	tracer.Sequenced(began, 3, nil)
	if spans := kept.GetSpans(); len(spans) != 1 || spans[0].Name != "sequencer" || !spans[0].StartTime.Equal(began) {
		t.Errorf("%+v", spans)
	}
}

// What is left is sent at a stop, to the path of the endpoint, and nowhere before.
func TestTracesAreSentOverHTTP(t *testing.T) {
	type call struct {
		path string
		body string
	}
	var calls []call
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, call{r.URL.Path, string(body)})
	}))
	defer collector.Close()
	provider, err := tracing.Open(t.Context(), collector.URL+"/v1/traces", 1, "wanbi test")
	if err != nil {
		t.Fatal(err)
	}
	tracing.New(provider).Sequenced(time.Now(), 1, nil)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 1 || calls[0].path != "/v1/traces" || !strings.Contains(calls[0].body, "sequencer") || !strings.Contains(calls[0].body, "wanbi test") {
		t.Errorf("sent %q", calls)
	}
}
