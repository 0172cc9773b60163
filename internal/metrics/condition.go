package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wanbi/wanbi/internal/store"
)

// scrapeWithin bounds what one scrape may ask of the database.
const scrapeWithin = 5 * time.Second

var (
	descUp = prometheus.NewDesc("wanbi_database_up",
		"1 while the database answers.", nil, nil)
	descJobs = prometheus.NewDesc("wanbi_jobs",
		"Messages, calls and timers: waiting, or dead letters.", []string{"state"}, nil)
	descLate = prometheus.NewDesc("wanbi_jobs_late_seconds",
		"For how long the first job that is due has been due.", nil, nil)
	descUnsequenced = prometheus.NewDesc("wanbi_audit_unsequenced",
		"Entries that the audit log has not taken yet.", nil, nil)
	descUnsequencedAge = prometheus.NewDesc("wanbi_audit_unsequenced_seconds",
		"For how long the first of them has waited.", nil, nil)
	descPoolOpen = prometheus.NewDesc("wanbi_database_connections",
		"Connections of a pool, in use or idle.", []string{"pool", "state"}, nil)
	descPoolWait = prometheus.NewDesc("wanbi_database_wait_seconds_total",
		"Time spent waiting for a connection.", []string{"pool"}, nil)
)

// condition asks the database at each scrape.
type condition struct {
	db  *store.DB
	now func() time.Time
}

// Describe implements [prometheus.Collector].
func (*condition) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descJobs, descLate, descUnsequenced, descUnsequencedAge, descPoolOpen, descPoolWait} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *condition) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name, pool := range c.db.Pools() {
		gauge(descPoolOpen, float64(pool.InUse), name, "in-use")
		gauge(descPoolOpen, float64(pool.Idle), name, "idle")
		out <- prometheus.MustNewConstMetric(descPoolWait, prometheus.CounterValue, pool.WaitDuration.Seconds(), name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	backlog, err := c.db.Backlog(ctx)
	if err != nil {
		gauge(descUp, 0)
		return
	}
	gauge(descUp, 1)
	gauge(descJobs, float64(backlog.Waiting), "waiting")
	gauge(descJobs, float64(backlog.Dead), "dead")
	gauge(descLate, c.since(backlog.OldestDue))
	gauge(descUnsequenced, float64(backlog.Unsequenced))
	gauge(descUnsequencedAge, c.since(backlog.OldestUnsequenced))
}

// since gives the seconds since t, 0 for none or one to come.
func (c *condition) since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, c.now().Sub(t).Seconds())
}
