// Package metrics counts what operators watch, in the form that Prometheus
// reads. Labels are few and come from lists of ours: realms, intents, events,
// kinds of contact, routes, statuses.
//
// What happened to cases and accounts is counted from the audit log, so that a
// number here is something that was committed, once. Each node counts the whole
// log from when it started: take the maximum over nodes, not the sum. All else
// is of the node itself.
//
// Trust: whoever reads the figures learns how much happens and nothing of whom.
// No name, address, reference or key is ever a label. They are served on an
// address of their own, which the settings refuse to make public.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
)

// Metrics are the figures of one process. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time
	log      *slog.Logger

	events   *prometheus.CounterVec
	messages *prometheus.CounterVec
	handover *prometheus.HistogramVec
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	db   *store.DB
	mu   sync.Mutex
	next int64 // the first leaf that is not counted yet; -1 before the first look
}

// New gives figures that start at zero. now is the machine's clock.
func New(now func() time.Time, log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), now: now, log: log, next: -1,
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wanbi_events_total", Help: "Entries of the audit log since this node started, of all nodes.",
		}, []string{"realm", "intent", "event"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wanbi_messages_total", Help: "Tries to hand a message over: sent, refused for good, or failed for now.",
		}, []string{"kind", "outcome"}),
		handover: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wanbi_message_delay_seconds", Help: "From the commit that wanted a message until the next system took it.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 3600},
		}, []string{"kind"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wanbi_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "wanbi_http_request_duration_seconds", Help: "From the end of a request's header to the end of its answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.events, m.messages, m.handover, m.requests, m.duration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, kind := range []recovery.ContactKind{recovery.ContactPhone, recovery.ContactEmail} { // a series that is there at zero can be alerted on
		m.handover.WithLabelValues(string(kind))
		for _, outcome := range []string{outcomeSent, outcomeRefused, outcomeFailed} {
			m.messages.WithLabelValues(string(kind), outcome)
		}
	}
	return m
}

// Watch adds what the database tells: its record, its queues, its pools.
func (m *Metrics) Watch(ctx context.Context, d *store.DB) error {
	size, err := d.LogSize(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.db, m.next = d, size
	return m.registry.Register(&condition{db: d, now: m.now})
}

// Serve gives the figures to whoever may reach its address.
func (m *Metrics) Serve() http.Handler {
	mux := http.NewServeMux()
	text := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelWarn)})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if err := m.tally(r.Context()); err != nil {
			m.log.Warn("metrics: the record cannot be counted now", "err", err)
		}
		text.ServeHTTP(w, r)
	})
	return mux
}

// Tallies are read in portions, so that a scrape after a quiet weekend stays short.
const portion, portions = 2000, 25

// tally counts the entries that came since the last look.
func (m *Metrics) tally(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.db == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, scrapeWithin)
	defer cancel()
	for range portions {
		entries, err := m.db.Tally(ctx, m.next, portion)
		if err != nil {
			return err
		}
		for _, e := range entries {
			m.events.WithLabelValues(e.Realm, e.Intent, e.Event).Inc()
		}
		m.next += int64(len(entries))
		if len(entries) < portion {
			return nil
		}
	}
	return nil
}

// The outcomes of handing a message over.
const (
	outcomeSent    = "sent"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// Sender counts what goes through a sender.
func (m *Metrics) Sender(to notify.Sender) notify.Sender { return counted{to, m} }

type counted struct {
	to notify.Sender
	m  *Metrics
}

// Send implements [notify.Sender].
func (c counted) Send(ctx context.Context, msg notify.Message) error {
	err := c.to.Send(ctx, msg)
	kind, outcome := string(msg.Kind), outcomeSent
	switch {
	case recovery.IsKind(err, recovery.KindBadInput):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFailed
	default:
		// A message carries its job's ID, a UUIDv7, which tells when it was wanted.
		if id, bad := uuid.Parse(msg.ID); bad == nil && id.Version() == 7 {
			seconds, nanos := id.Time().UnixTime()
			c.m.handover.WithLabelValues(kind).Observe(max(0, c.m.now().Sub(time.Unix(seconds, nanos)).Seconds()))
		}
	}
	c.m.messages.WithLabelValues(kind, outcome).Inc()
	return err
}

// Handler counts requests. A route is the pattern that answered, never a path.
func (m *Metrics) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, answer := m.now(), &answered{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			m.requests.WithLabelValues(route, strconv.Itoa(answer.status)).Inc()
			m.duration.WithLabelValues(route).Observe(m.now().Sub(begun).Seconds())
		}()
		next.ServeHTTP(answer, r)
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
