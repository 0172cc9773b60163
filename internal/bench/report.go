package bench

import (
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is everything one run measured. Times are milliseconds, memory is 10^6
// bytes of resident pages.
type Report struct {
	Machine  Machine      `json:"machine"`
	Began    time.Time    `json:"began"`
	Options  Shown        `json:"options"`
	BinaryMB float64      `json:"binary_mb"`
	Runs     []RunFigures `json:"runs"`
}

// Shown is what was asked for, without addresses and passwords.
type Shown struct {
	Clients       []int   `json:"clients"`
	Seconds       float64 `json:"seconds"`
	Accounts      int     `json:"accounts"`
	SMTPLatencyMS float64 `json:"smtp_latency_ms"`
}

func (o Options) shown() Shown {
	return Shown{Clients: o.Clients, Seconds: o.Duration.Seconds(), Accounts: o.Accounts, SMTPLatencyMS: milliseconds(o.SMTPLatency)}
}

// Machine is where it ran.
type Machine struct {
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`
	Go         string  `json:"go"`
	System     string  `json:"system"`
	LoadBefore float64 `json:"load_before"` // the one-minute load average
	LoadAfter  float64 `json:"load_after"`
}

func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, LoadBefore: loadAverage()}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func loadAverage() float64 {
	var load float64
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	return load
}

// RunFigures is one database with one hash.
type RunFigures struct {
	Engine           string            `json:"engine"`
	Hash             string            `json:"hash"`
	Settings         map[string]string `json:"settings,omitempty"`
	Accounts         int               `json:"accounts"`
	Import           Work              `json:"import"`
	FirstAnswerMS    float64           `json:"first_answer_ms"`
	IdleMB           float64           `json:"idle_mb"`
	HashAlone        float64           `json:"hash_alone_per_second"` // on all cores, with nothing else
	Loads            []Load            `json:"loads"`
	SequencedAfterMS float64           `json:"sequenced_after_ms"` // from the end of the last load
	Told             Told              `json:"told_apart"`
	Entries          int64             `json:"audit_entries"`
	VerifyRate       float64           `json:"audit_verified_per_second"`
	ReceiptMS        Spread            `json:"receipt_ms"`
}

// Load is one measurement.
type Load struct {
	Clients    int               `json:"clients"`
	Seconds    float64           `json:"seconds"`
	Recoveries int               `json:"recoveries"`
	Errors     int               `json:"errors"`
	ErrorKinds map[string]int    `json:"error_kinds,omitempty"`
	Rate       float64           `json:"per_second"`
	Whole      Spread            `json:"whole_ms"`
	Steps      map[string]Spread `json:"steps_ms"`
	CPU        CPU               `json:"cpu_ms_each"`
	MemoryMB   float64           `json:"memory_mb"`
}

// Spread is how times lie.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// CPU is what one recovery cost each process, in milliseconds. The driver's is
// that of the mail server too. SQLite's is in the server's.
type CPU struct {
	Server   float64 `json:"server"`
	Database float64 `json:"database"`
	Driver   float64 `json:"driver"`
}

// Told is how well the time of an answer tells known identifiers from unknown
// ones: the area under the curve of the rank-sum test; 0.5 is not at all.
type Told struct {
	Pairs int     `json:"pairs"`
	Open  float64 `json:"open"`
	Start float64 `json:"start"`
}

// String is one line for whoever watches.
func (l Load) String() string {
	line := fmt.Sprintf("%3d clients %6.1f/s  p50 %5.1f  p95 %5.1f  p99 %5.1f ms  CPU %.1f + %.1f (driver %.1f) ms  %3.0f MB  %d errors",
		l.Clients, l.Rate, l.Whole.P50, l.Whole.P95, l.Whole.P99, l.CPU.Server, l.CPU.Database, l.CPU.Driver, l.MemoryMB, l.Errors)
	for _, kind := range slices.Sorted(maps.Keys(l.ErrorKinds)) {
		line += fmt.Sprintf("\n    %d × %s", l.ErrorKinds[kind], kind)
	}
	return line
}

// sum puts the samples together.
func (l *Load) sum(samples []sample) {
	var whole []float64
	each := make([][]float64, len(steps))
	for _, s := range samples {
		if s.err != nil {
			if l.Errors++; l.ErrorKinds == nil {
				l.ErrorKinds = map[string]int{}
			}
			l.ErrorKinds[s.err.Error()]++
			continue
		}
		l.Recoveries++
		whole = append(whole, milliseconds(s.whole))
		for i, took := range s.steps {
			each[i] = append(each[i], milliseconds(took))
		}
	}
	l.Whole, l.Steps = spread(whole), map[string]Spread{}
	for i, name := range steps {
		l.Steps[name] = spread(each[i])
	}
}

func spread(values []float64) Spread {
	slices.Sort(values)
	return Spread{P50: quantile(values, 0.50), P95: quantile(values, 0.95), P99: quantile(values, 0.99)}
}

// quantile gives the smallest of the sorted values that at least the share q of
// them do not exceed; 0 when there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[max(0, at)]
}

// auc is how likely one of a is greater than one of b, equals counted as half.
func auc(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0.5
	}
	type ranked struct {
		value float64
		ofA   bool
	}
	all := make([]ranked, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, ranked{v, true})
	}
	for _, v := range b {
		all = append(all, ranked{v, false})
	}
	slices.SortFunc(all, func(x, y ranked) int {
		switch {
		case x.value < y.value:
			return -1
		case x.value > y.value:
			return 1
		}
		return 0
	})
	sum := 0.0
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].value == all[from].value {
			to++
		}
		rank := float64(from+to+1) / 2 // the mean of the ranks from+1 to to
		for _, one := range all[from:to] {
			if one.ofA {
				sum += rank
			}
		}
		from = to
	}
	n := float64(len(a))
	return (sum - n*(n+1)/2) / (n * float64(len(b)))
}
