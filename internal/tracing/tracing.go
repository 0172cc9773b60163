// Package tracing begins traces at the edges of the process – requests, jobs, the
// audit log's sequencer – and sends them over OTLP/HTTP. What happens within is
// marked by package span.
//
// It is off unless an endpoint is configured; a nil [Tracer] does nothing and
// costs nothing. Requests begin traces of their own: what a stranger says about a
// trace in a header is not believed.
//
// Trust: see package span; whoever reads the traces learns when what happened, and
// nothing of whom.
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/span"
)

// Tracer begins traces. Nil begins none.
type Tracer struct{ tracer trace.Tracer }

// New gives a tracer of a provider.
func New(provider trace.TracerProvider) *Tracer { return &Tracer{provider.Tracer(span.Scope)} }

// Open gives a provider that sends to an OTLP/HTTP endpoint, such as
// http://127.0.0.1:4318/v1/traces, that part of all traces which share says (0–1).
// Shutdown sends what is left. It does not connect before there is something to send.
func Open(ctx context.Context, endpoint string, share float64, version string) (*sdk.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(share))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "wanbi"), attribute.String("service.version", version))),
	), nil
}

// Handler traces requests. A trace is named by the route, never by the path.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, s := t.tracer.Start(r.Context(), "request", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
		inner, answer := r.WithContext(ctx), &answered{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			r.Pattern = inner.Pattern // whoever counts requests looks at it, too
			route := inner.Pattern
			if route == "" {
				route = "none"
			}
			s.SetName(route)
			s.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", answer.status))
			if answer.status >= http.StatusInternalServerError {
				s.SetStatus(codes.Error, http.StatusText(answer.status))
			}
			s.End()
		}()
		next.ServeHTTP(answer, inner)
	})
}

// answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
	said   bool
}

// WriteHeader implements [http.ResponseWriter].
func (a *answered) WriteHeader(status int) {
	if !a.said && status >= http.StatusOK {
		a.status, a.said = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answered) Write(p []byte) (int, error) {
	a.said = true
	return a.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Job traces a job: a trace of its own, since it may run much later and elsewhere.
func (t *Tracer) Job(kind string, h jobs.Handler) jobs.Handler {
	if t == nil {
		return h
	}
	return func(ctx context.Context, job jobs.Job) (err error) {
		ctx, s := t.tracer.Start(ctx, "job "+kind, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer))
		mark := span.Of(s)
		mark.Number("attempt", job.Attempt)
		defer func() { mark.End(err) }()
		return h(ctx, job)
	}
}

// Sender marks the handing over of messages.
func (t *Tracer) Sender(to notify.Sender) notify.Sender {
	if t == nil || to == nil {
		return to
	}
	return sender{to}
}

type sender struct{ to notify.Sender }

// Send implements [notify.Sender].
func (s sender) Send(ctx context.Context, m notify.Message) error {
	ctx, mark := span.Begin(ctx, "message")
	mark.Word("contact.kind", string(m.Kind))
	err := s.to.Send(ctx, m)
	mark.End(err)
	return err
}

// Sequenced notes one step of the sequencer that took entries, or failed.
func (t *Tracer) Sequenced(began time.Time, taken int, err error) {
	if t == nil {
		return
	}
	_, s := t.tracer.Start(context.Background(), "sequencer", trace.WithNewRoot(), trace.WithTimestamp(began))
	mark := span.Of(s)
	mark.Number("entries", taken)
	mark.End(err)
}
