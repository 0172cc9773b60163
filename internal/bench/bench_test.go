package bench

import (
	"errors"
	"math"
	"net/smtp"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		name   string
		values []float64
		q      float64
		want   float64
	}{
		{"of none", nil, 0.5, 0},
		{"of one", []float64{7}, 0.99, 7},
		{"the middle of two is the lower", []float64{1, 2}, 0.5, 1},
		{"just past the middle", []float64{1, 2}, 0.51, 2},
		{"95 of 100", hundred, 0.95, 95},
		{"99 of 100", hundred, 0.99, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := quantile(c.values, c.q); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []float64
		want float64
	}{
		{"always greater", []float64{3, 4}, []float64{1, 2}, 1},
		{"always less", []float64{1, 2}, []float64{3, 4}, 0},
		{"all equal", []float64{5, 5}, []float64{5, 5, 5}, 0.5},
		{"interleaved", []float64{1, 4}, []float64{2, 3}, 0.5},
		{"one tie", []float64{2}, []float64{1, 2}, 0.75},
		{"nothing to compare", nil, []float64{1}, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := auc(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheSinkHandsACodeToWhoeverWaits(t *testing.T) {
	s, err := startSink(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	codes := s.expect("a@example.cn")
	for _, text := range []string{"no code here", "123456 is your code", "222222 comes too late"} {
		letter := "Subject: x\r\n\r\n" + text + "\r\n"
		if err := smtp.SendMail(s.Addr, nil, "from@example.cn", []string{"a@example.cn"}, []byte(letter)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case got := <-codes:
		if got != "123456" {
			t.Errorf("got %q", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("no code came")
	}
	if len(codes) > 0 {
		t.Error("a second code came")
	}
}

func TestErrorsAreCountedApart(t *testing.T) {
	var l Load
	l.sum([]sample{{whole: 2 * time.Millisecond}, {err: errNoCode}, {err: errNoCode}})
	if l.Recoveries != 1 || l.Errors != 2 || l.ErrorKinds[errNoCode.Error()] != 2 || l.Whole.P50 != 2 {
		t.Errorf("got %+v", l)
	}
	if !slices.Contains(steps, "mail") || len(l.Steps) != len(steps) {
		t.Errorf("steps: %v", l.Steps)
	}
}

func TestWorkIsSharedAmongWhatWasDone(t *testing.T) {
	b := &installation{}
	var w Work
	do := func() (*os.ProcessState, error) { return nil, nil }
	if err := b.measured(4, &w, do); err != nil || w.Count != 4 || w.Rate <= 0 || w.DBUS != 0 || w.MemoryMB != 0 {
		t.Errorf("%+v, %v", w, err)
	}
	failed := errors.New("it failed")
	before := w
	if err := b.measured(9, &w, func() (*os.ProcessState, error) { return nil, failed }); !errors.Is(err, failed) || w != before {
		t.Errorf("a failure was measured: %+v, %v", w, err)
	}
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if err := b.measured(1, &w, func() (*os.ProcessState, error) { return ended.ProcessState, nil }); err != nil || w.MemoryMB != peak(ended.ProcessState) {
		t.Errorf("of a process that ended: %+v, %v", w, err)
	}
}
