package server_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

const realm = recovery.Realm("yichuangtong")

// status asks the server for one of its health addresses.
func status(t *testing.T, s *testkit.Server, path string) int {
	t.Helper()
	answer, err := s.HTTP.Client().Get(s.HTTP.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestAServerThatDrainsSaysSoAndGoesOnAnswering(t *testing.T) {
	s := testkit.Start(t, store.SQLite, []string{"yichuangtong"})
	if got := status(t, s, "/readyz"); got != 200 {
		t.Fatalf("ready: %d", got)
	}
	s.Drain()
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/yichuangtong/recover": 200} {
		if got := status(t, s, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// A stop waits for the job under way, and what it records is signed before the end.
func TestAStopFinishesJobsAndSignsALastCheckpoint(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		s := testkit.Start(t, engine, []string{"yichuangtong"})
		started, release := make(chan struct{}), make(chan struct{})
		s.Queue.Handle("test.slow", func(ctx context.Context, _ jobs.Job) error {
			close(started)
			<-release
			_, err := s.Accounts.Import(ctx, realm, []account.Record{{ID: "late", Phone: "13800001234"}})
			return err
		})
		if err := s.DB.Write(t.Context(), func(tx *store.Tx) error {
			return s.Queue.Enqueue(t.Context(), tx, jobs.New{Key: "k", Kind: "test.slow", Realm: realm, Due: s.Now(), Payload: "x"})
		}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		<-started
		stop()
		select {
		case <-ended:
			t.Fatal("it ended before its job")
		default:
		}
		close(release)
		<-ended
		backlog, err := s.DB.Backlog(t.Context())
		if err != nil || backlog.Waiting != 0 || backlog.Unsequenced != 0 {
			t.Errorf("left: %+v, %v", backlog, err)
		}
		signed, err := os.ReadFile(s.Options.Checkpoint)
		if err != nil || !strings.Contains(string(signed), "\n1\n") {
			t.Errorf("the checkpoint is %q, %v", signed, err)
		}
	})
}
