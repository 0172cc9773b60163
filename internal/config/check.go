package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/policy"
)

// maxDrain leaves room, within the 90 seconds of the unit, for what comes after it.
const maxDrain = 30 * time.Second

// shippedPrefix marks a policy that is part of the program.
const shippedPrefix = "shipped:"

// databasePassword finds one in a DSN, also in forms that are no URL to package
// url, such as several hosts with ports.
var databasePassword = regexp.MustCompile(`://[^/@]*:[^@]+@|[?&]password=`)

// secrets fills in what the environment says, and refuses a file that anybody on
// the machine can read secrets from.
func (r *reading) secrets(env func(string) (string, bool)) {
	c := r.config
	if databasePassword.MatchString(c.Database) {
		r.exposed("database", EnvDatabase)
	}
	if value, ok := env(EnvDatabase); ok {
		c.Database = value
	}
	if c.SMTP != nil {
		if c.SMTP.Password != "" {
			r.exposed("smtp.password", EnvSMTPPassword)
		}
		if value, ok := env(EnvSMTPPassword); ok {
			c.SMTP.Password = value
		}
	}
	if c.SMS != nil && c.SMS.Kannel != nil {
		if c.SMS.Kannel.Password != "" {
			r.exposed("sms.kannel.password", EnvSMSPassword)
		}
		if value, ok := env(EnvSMSPassword); ok {
			c.SMS.Kannel.Password = value
		}
	}
}

func (r *reading) exposed(path, variable string) {
	if r.readableByAll {
		r.at(path, "a password in a file that everybody can read: chmod o-rwx it, or set %s instead", variable)
	}
}

// paths takes paths from the file's own folder.
func (r *reading) paths(folder string) {
	c := r.config
	from := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	from(&c.Keys)
	from(&c.Checkpoint)
	for i := range c.Policies {
		if !strings.HasPrefix(c.Policies[i].File, shippedPrefix) {
			from(&c.Policies[i].File)
		}
	}
	if path, ok := strings.CutPrefix(c.Database, "sqlite:"); ok && path != "" {
		from(&path)
		c.Database = "sqlite:" + path
	}
}

// check looks for what cannot work or must not be.
func (r *reading) check() {
	c := r.config
	r.needed("listen", c.Listen)
	if _, port, err := net.SplitHostPort(c.Listen); c.Listen != "" && (err != nil || port == "") {
		r.at("listen", "write host:port, such as 127.0.0.1:8080")
	}
	r.needed("origin", c.Origin)
	if c.Origin != "" {
		r.origin()
	}
	r.needed("database", c.Database)
	if c.Database != "" && !slices.ContainsFunc([]string{"sqlite:", "postgres://", "postgresql://"}, func(prefix string) bool {
		return strings.HasPrefix(c.Database, prefix)
	}) {
		r.at("database", "write sqlite:/path/to/file.db or postgres://…")
	}
	r.needed("keys", c.Keys)
	r.policies()
	if c.SMTP != nil {
		r.needed("smtp.addr", c.SMTP.Addr)
		r.needed("smtp.from", c.SMTP.From)
		r.word("smtp.tls", c.SMTP.TLS, "starttls", "implicit", "none")
		r.word("smtp.auth", c.SMTP.Auth, "auto", "plain", "login")
		r.duration("smtp.timeout", c.SMTP.Timeout)
		r.positive("smtp.connections", c.SMTP.Connections)
	}
	r.sms()
	r.metrics()
	r.tracing()
	r.duration("drain", c.Drain)
	if c.DrainTime() > maxDrain {
		r.at("drain", "at most %s: systemd kills what takes longer to stop (TimeoutStopSec)", maxDrain)
	}
	c.proxies = r.networks("trusted-proxies", c.TrustedProxies)
	c.private = r.networks("allow-private", c.AllowPrivate)
	r.word("log.level", c.Log.Level, "debug", "info", "warn", "error")
	r.word("log.format", c.Log.Format, "json", "text")
	r.hash()
}

func (r *reading) needed(path, value string) {
	if value == "" {
		r.at(path, "missing")
	}
}

// word holds a value against the known ones; left out is known.
func (r *reading) word(path, value string, known ...string) {
	if value != "" && !slices.Contains(known, value) {
		r.at(path, "unknown word %q: one of %s", value, strings.Join(known, ", "))
	}
}

func (r *reading) duration(path, value string) {
	if value == "" {
		return
	}
	if d, err := policy.ParseDuration(value); err != nil {
		r.at(path, "%v", err)
	} else if d == 0 {
		r.at(path, "nothing works within 0s")
	}
}

func (r *reading) positive(path string, n int) {
	if n < 0 {
		r.at(path, "a number from 1")
	}
}

func (r *reading) origin() {
	u, err := url.Parse(r.config.Origin)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		r.at("origin", "write scheme and host and nothing else, such as https://id.example.cn")
		return
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		r.at("origin", "write https: links carry tokens, and http is for loopback only")
	}
}

// metrics holds the figures' address to one that the internet cannot reach.
func (r *reading) metrics() {
	if r.config.Metrics == "" {
		return
	}
	host, port, err := net.SplitHostPort(r.config.Metrics)
	addr, addrErr := netip.ParseAddr(host)
	switch {
	case err != nil || port == "":
		r.at("metrics", "write host:port, such as 127.0.0.1:9090")
	case host != "localhost" && (addrErr != nil || !addr.IsLoopback() && !addr.IsPrivate()):
		r.at("metrics", "write a loopback or private address of this machine: the figures are not for everybody")
	}
}

// tracing holds the collector's address to one that does not show traces on the way.
func (r *reading) tracing() {
	t := r.config.Tracing
	if t == nil {
		return
	}
	r.needed("tracing.endpoint", t.Endpoint)
	u, err := url.Parse(t.Endpoint)
	switch {
	case t.Endpoint == "":
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https":
		r.at("tracing.endpoint", "write a URL, such as http://127.0.0.1:4318/v1/traces")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		r.at("tracing.endpoint", "write https: http is for loopback only")
	}
	if t.Percent < 0 || t.Percent > 100 {
		r.at("tracing.percent", "a number from 1 to 100")
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (r *reading) policies() {
	if len(r.config.Policies) == 0 {
		r.at("policies", "missing: name at least one policy")
	}
	for i, p := range r.config.Policies {
		path := fmt.Sprintf("policies.%d", i)
		r.needed(path+".file", p.File)
		r.callable(path+".events", p.Events)
		r.callable(path+".directory", p.Directory)
	}
}

// callable wants an address that hooks can be posted to.
func (r *reading) callable(path, address string) {
	if address == "" {
		return
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "" {
		r.at(path, "write an https address without a password in it")
	} else if u.Scheme == "http" && len(r.config.AllowPrivate) == 0 {
		r.at(path, "write https; http is for networks of allow-private only")
	}
}

func (r *reading) sms() {
	if r.config.SMS == nil {
		return
	}
	k := r.config.SMS.Kannel
	if k == nil {
		r.at("sms.kannel", "missing: it is the gateway that takes texts")
		return
	}
	r.needed("sms.kannel.url", k.URL)
	r.needed("sms.kannel.user", k.User)
	if k.Password == "" {
		r.at("sms.kannel.password", "missing: write it here or set %s", EnvSMSPassword)
	}
	r.duration("sms.kannel.timeout", k.Timeout)
	r.positive("sms.kannel.concurrent", k.Concurrent)
}

func (r *reading) networks(path string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for i, text := range list {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			r.at(fmt.Sprintf("%s.%d", path, i), "write a network, such as 10.0.0.0/8 or 192.0.2.7/32")
			continue
		}
		if network.Bits() == 0 {
			r.at(fmt.Sprintf("%s.%d", path, i), "%s is the whole internet", text)
			continue
		}
		out = append(out, network.Masked())
	}
	return out
}

// The bounds of the cost. The least is the cheapest that OWASP's Password Storage
// cheat sheet lists (7 MiB, five passes); the most is what a stored hash may cost.
const (
	leastMemory, mostMemory = 7 * 1024, 256 * 1024 // KiB
	leastWork, mostWork     = 35 * 1024, 1024 * 1024
	mostTime, mostThreads   = 16, 16
)

func (r *reading) hash() {
	h := r.config.Hash
	if h == (Hash{}) {
		return
	}
	switch {
	case h.Memory == 0 || h.Time == 0 || h.Threads == 0:
		r.at("hash", "give memory, time and threads, or none of them")
	case h.Memory < leastMemory || h.Memory > mostMemory:
		r.at("hash.memory", "%d KiB: from %d to %d", h.Memory, leastMemory, mostMemory)
	case h.Time < 1 || h.Time > mostTime:
		r.at("hash.time", "%d passes: from 1 to %d", h.Time, mostTime)
	case h.Threads < 1 || h.Threads > mostThreads:
		r.at("hash.threads", "%d threads: from 1 to %d", h.Threads, mostThreads)
	case h.Memory*h.Time < leastWork:
		r.at("hash.memory", "%d KiB times %d passes is too cheap: OWASP's least is 7168 and 5, or 19456 and 2", h.Memory, h.Time)
	case h.Memory*h.Time > mostWork:
		r.at("hash.memory", "%d KiB times %d passes: at most %d KiB in all", h.Memory, h.Time, mostWork)
	}
}
