package metrics

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

type sending func(notify.Message) error

func (f sending) Send(_ context.Context, m notify.Message) error { return f(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Serve().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("status %d, %v", answer.Code, err)
	}
	return string(text)
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func database(t *testing.T) *store.DB {
	t.Helper()
	d, err := store.Open("sqlite:" + filepath.Join(t.TempDir(), "wanbi.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMessagesAreCountedWithTheirDelayAndWithoutTheirAddress(t *testing.T) {
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	seconds, nanos := id.Time().UnixTime()
	m := New(func() time.Time { return time.Unix(seconds, nanos).Add(3 * time.Second) }, quiet())
	var fail error
	s := m.Sender(sending(func(notify.Message) error { return fail }))
	msg := notify.Message{ID: id.String(), Kind: recovery.ContactPhone, To: "+8613800001234", Text: "your code is 123456"}
	for _, fail = range []error{
		nil, recovery.BadInput("error.delivery.refused"), recovery.Unavailable("error.delivery.unavailable", time.Second),
	} {
		if got := s.Send(t.Context(), msg); got != fail {
			t.Errorf("gave %v", got)
		}
	}
	text := scrape(t, m)
	want(t, text, `wanbi_messages_total{kind="phone",outcome="sent"} 1`, `wanbi_messages_total{kind="phone",outcome="refused"} 1`,
		`wanbi_messages_total{kind="phone",outcome="failed"} 1`, `wanbi_messages_total{kind="email",outcome="sent"} 0`,
		`wanbi_message_delay_seconds_bucket{kind="phone",le="2"} 0`, `wanbi_message_delay_seconds_bucket{kind="phone",le="5"} 1`)
	for _, secret := range []string{"13800001234", "123456", id.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the figures", secret)
		}
	}
}

func TestRequestsAreCountedByRouteAndNeverByPath(t *testing.T) {
	m := New(time.Now, quiet())
	inner := http.NewServeMux()
	inner.HandleFunc("GET /cases/{ref}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	outer := http.NewServeMux()
	outer.Handle("/", inner)
	h := m.Handler(outer)
	for _, path := range []string{"/cases/7K3MQ-X2V9D", "/cases/00000-00000", "/nowhere/secret"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	text := scrape(t, m)
	want(t, text, `wanbi_http_requests_total{route="GET /cases/{ref}",status="429"} 2`)
	if strings.Contains(text, "7K3MQ") || strings.Contains(text, "secret") {
		t.Error("a path is in the figures")
	}
}

// sequenced puts an entry into the log, as the sequencer would.
func sequenced(t *testing.T, d *store.DB, leaf int64, event string) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *store.Tx) error {
		entry := db.AuditEntry{Owner: "s", Chain: "c", Seq: leaf + 1, At: 1, Event: event, Commitment: []byte{1}, Prev: []byte{1}, Hash: []byte{1}}
		tx.Record(entry)
		return tx.InsertLeaf(t.Context(), db.InsertLeafParams{Leaf: leaf, Owner: "s", Chain: "c", Seq: leaf + 1})
	}); err != nil {
		t.Fatal(err)
	}
}

func TestEachEntryOfTheRecordIsCountedOnce(t *testing.T) {
	m, d := New(time.Now, quiet()), database(t)
	if err := m.Watch(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	sequenced(t, d, 0, "answer.wrong")
	sequenced(t, d, 1, "answer.wrong")
	want(t, scrape(t, m), `wanbi_events_total{event="answer.wrong",intent="",realm=""} 2`, "wanbi_audit_unsequenced 2")
	want(t, scrape(t, m), `wanbi_events_total{event="answer.wrong",intent="",realm=""} 2`)
	sequenced(t, d, 2, "answer.wrong")
	want(t, scrape(t, m), `wanbi_events_total{event="answer.wrong",intent="",realm=""} 3`, "wanbi_database_up 1", `wanbi_jobs{state="dead"} 0`)
}

func TestWithoutItsDatabaseANodeStillTellsItsFigures(t *testing.T) {
	m, d := New(time.Now, quiet()), database(t)
	if err := m.Watch(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, scrape(t, m), "wanbi_database_up 0", `wanbi_messages_total{kind="email",outcome="sent"} 0`)
}

// The dashboard shows what there is: a panel without a figure stays empty for ever.
func TestTheDashboardNamesFiguresThatExist(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("no JSON")
	}
	m, d := New(time.Now, quiet()), database(t)
	if err := m.Watch(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := m.WatchKeys(fixture.Keys(t), func() int64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	sequenced(t, d, 0, "answer.wrong")
	m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	shown := scrape(t, m)
	names := regexp.MustCompile(`\b(?:wanbi|process)_[a-z_]+`).FindAllString(string(text), -1)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 12 {
		t.Errorf("only %v", names)
	}
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(shown) {
			t.Errorf("no figure %s", name)
		}
	}
}
