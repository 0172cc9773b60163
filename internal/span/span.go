// Package span marks what happens within a request or a job, for traces. It is
// what rooms use; where traces begin and go to is package tracing.
//
// Where nothing is traced a mark costs a look into the context and no memory.
//
// Trust: a trace leaves the installation for a system that many may read. A mark
// holds words of ours and numbers only: never an identifier, an address, a code,
// an answer, a token, or an error's text (T15).
package span

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Scope names us in traces.
const Scope = "wanbi"

// Span is one mark. The zero value marks nothing.
type Span struct{ within trace.Span }

// Begin marks the beginning of something within what ctx is traced for; nothing
// where it is not traced. name is a word of ours.
func Begin(ctx context.Context, name string) (context.Context, Span) {
	around := trace.SpanFromContext(ctx)
	if !around.IsRecording() {
		return ctx, Span{}
	}
	ctx, within := around.TracerProvider().Tracer(Scope).Start(ctx, name)
	return ctx, Span{within}
}

// Of is the mark of a span that was begun otherwise.
func Of(s trace.Span) Span { return Span{s} }

// Word notes a value from a list of ours.
func (s Span) Word(key, value string) {
	if s.within != nil {
		s.within.SetAttributes(attribute.String(key, value))
	}
}

// Number notes a number that says nothing of whom.
func (s Span) Number(key string, value int) {
	if s.within != nil {
		s.within.SetAttributes(attribute.Int(key, value))
	}
}

// End marks the end. Of an error it notes the key and nothing else; an error of
// ours that asks the caller for something else is no failure.
func (s Span) End(err error) {
	if s.within == nil {
		return
	}
	if err != nil {
		e := recovery.AsError(err)
		s.within.SetAttributes(attribute.String("error.key", e.Key))
		if e.Kind == recovery.KindInternal || e.Kind == recovery.KindUnavailable {
			s.within.SetStatus(codes.Error, e.Key)
		}
	}
	s.within.End()
}
