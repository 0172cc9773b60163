package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wanbi/wanbi/internal/seal"
)

var (
	descKey = prometheus.NewDesc("wanbi_key_version",
		"1 for each version of the keys that this node holds: waits (known, not used yet), current or old (only read with).", []string{"version", "use"}, nil)
	descRemaining = prometheus.NewDesc("wanbi_reseal_remaining",
		"Values that stand under an older version of the keys, as this node counted them last, less what it made anew since.", nil, nil)
)

// WatchKeys adds which keys this node holds, and how many values are still to be
// sealed anew; remaining gives -1 for not counted yet.
func (m *Metrics) WatchKeys(keys *seal.Keyring, remaining func() int64) error {
	return m.registry.Register(&keyCondition{keys, remaining})
}

type keyCondition struct {
	keys      *seal.Keyring
	remaining func() int64
}

// Describe implements [prometheus.Collector].
func (*keyCondition) Describe(out chan<- *prometheus.Desc) { out <- descKey; out <- descRemaining }

// Collect implements [prometheus.Collector].
func (c *keyCondition) Collect(out chan<- prometheus.Metric) {
	for _, h := range c.keys.Versions() {
		use := "old"
		switch {
		case len(h.Current) > 0:
			use = "current"
		case len(h.Waiting) > 0:
			use = "waits"
		}
		out <- prometheus.MustNewConstMetric(descKey, prometheus.GaugeValue, 1, h.Version.String(), use)
	}
	if n := c.remaining(); n >= 0 {
		out <- prometheus.MustNewConstMetric(descRemaining, prometheus.GaugeValue, float64(n))
	}
}
