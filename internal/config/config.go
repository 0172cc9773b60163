// Package config reads the settings of `wanbi serve` from one YAML file. It
// refuses to guess: a key that it does not know, a value that cannot work and an
// address that would send secrets in the clear are errors with file and line.
//
// The struct fields are the manual of the file; deploy/wanbi.example.yaml shows
// them all. Paths are taken from the folder that the file is in. Only secrets can
// come from the environment, so that everything else has one place.
//
// Trust: an attacker who can write this file, or the policies and keys that it
// names, owns the installation.
package config

import (
	"net/netip"
	"time"

	"github.com/wanbi/wanbi/internal/policy"
)

// The environment variables that replace a secret of the file.
const (
	EnvDatabase     = "WANBI_DATABASE"
	EnvSMTPPassword = "WANBI_SMTP_PASSWORD"
	EnvSMSPassword  = "WANBI_SMS_PASSWORD"
)

// Config is one file of settings, checked.
type Config struct {
	// Listen is host:port of the HTTP server. TLS is the business of the proxy before it.
	Listen string `yaml:"listen"`
	// Origin is scheme and host of every link in a message: https, or a loopback
	// address. Requests never decide it (T3).
	Origin string `yaml:"origin"`
	// Database is sqlite:FILE or postgres://…; WANBI_DATABASE replaces it.
	Database string `yaml:"database"`
	// Keys is the key file, made by `wanbi keys init`.
	Keys string `yaml:"keys"`
	// Checkpoint is the file outside the database that keeps the newest signed
	// checkpoint, so that a database that was put back is noticed (T14).
	Checkpoint string `yaml:"checkpoint"`
	// Policies holds the realms, one policy each.
	Policies []Policy `yaml:"policies"`
	// SMTP sends e-mail; left out: none is sent.
	SMTP *SMTP `yaml:"smtp"`
	// SMS sends texts; left out: none are sent.
	SMS *SMS `yaml:"sms"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted-proxies"`
	// AllowPrivate are networks that events and directories may be called in
	// although they are not public (T19).
	AllowPrivate []string `yaml:"allow-private"`
	// Metrics is host:port where Prometheus reads figures, on a loopback or private
	// address of this machine; left out: nowhere.
	Metrics string `yaml:"metrics"`
	// Tracing sends traces; left out: there are none.
	Tracing *Tracing `yaml:"tracing"`
	// Drain is how long the server goes on answering after it was told to stop, while
	// /readyz says no: twice what a load balancer takes to notice, such as 10s; at
	// most 30s. Left out: it stops at once.
	Drain string `yaml:"drain"`
	// Log says how much is logged and how.
	Log Log `yaml:"log"`
	// Hash is the cost of Argon2id; left out: 19 MiB, two passes, one thread (OWASP).
	Hash Hash `yaml:"hash"`

	path    string         // of the file
	lines   map[string]int // of what was written where
	proxies []netip.Prefix
	private []netip.Prefix
}

// Policy is one realm of the installation.
type Policy struct {
	// File is a policy file, or shipped:NAME for one that is part of the program,
	// such as shipped:hardened/yichuangtong.
	File string `yaml:"file"`
	// Events is the URL where the host is told what happened; left out: nowhere.
	Events string `yaml:"events"`
	// Directory is the base URL of the host's directory, where its policy says webhook.
	Directory string `yaml:"directory"`
}

// SMTP says where mail goes.
type SMTP struct {
	// Addr is host:port of the next mail server.
	Addr string `yaml:"addr"`
	// TLS is starttls (the default), implicit, or none for loopback.
	TLS string `yaml:"tls"`
	// Auth is auto (the default), plain or login.
	Auth string `yaml:"auth"`
	// Username to sign in with; left out: no sign-in.
	Username string `yaml:"username"`
	// Password; WANBI_SMTP_PASSWORD replaces it.
	Password string `yaml:"password"`
	// From is the bare address of the sender.
	From string `yaml:"from"`
	// HELO is the name to greet with; left out: the domain of From.
	HELO string `yaml:"helo"`
	// Timeout of connecting and of each message, such as 30s, the default.
	Timeout string `yaml:"timeout"`
	// Connections at most at a time; left out: 20.
	Connections int `yaml:"connections"`
}

// SMS says which gateway takes texts.
type SMS struct {
	// Kannel is the one kind of gateway there is.
	Kannel *Kannel `yaml:"kannel"`
}

// Kannel is an SMS gateway of that name.
type Kannel struct {
	// URL of smsbox's sendsms.
	URL string `yaml:"url"`
	// User of the sendsms-user group.
	User string `yaml:"user"`
	// Password; WANBI_SMS_PASSWORD replaces it.
	Password string `yaml:"password"`
	// From is the sender's number or name; left out: the gateway's own.
	From string `yaml:"from"`
	// Reports is the URL where the gateway says what became of a text; left out: none.
	Reports string `yaml:"reports"`
	// Timeout for one text, such as 10s, the default.
	Timeout string `yaml:"timeout"`
	// Concurrent requests at most; left out: 32.
	Concurrent int `yaml:"concurrent"`
}

// Tracing says where OpenTelemetry traces go. They hold when what happened, and
// nothing of whom (T15).
type Tracing struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP, such as
	// http://127.0.0.1:4318/v1/traces; https beyond this machine.
	Endpoint string `yaml:"endpoint"`
	// Percent of all traces that are kept, 1 to 100; left out: 100.
	Percent int `yaml:"percent"`
}

// Share is Percent as a part of one.
func (t Tracing) Share() float64 {
	if t.Percent == 0 {
		return 1
	}
	return float64(t.Percent) / 100
}

// Log says how much is logged and how.
type Log struct {
	// Level is debug, info (the default), warn or error.
	Level string `yaml:"level"`
	// Format is json (the default) or text.
	Format string `yaml:"format"`
}

// Hash is the cost of Argon2id. All three are given or none.
type Hash struct {
	// Memory in KiB.
	Memory int `yaml:"memory"`
	// Time is the number of passes.
	Time int `yaml:"time"`
	// Threads is the number of lanes.
	Threads int `yaml:"threads"`
}

// String names the file: the rest may be secret.
func (c *Config) String() string { return "settings " + c.path }

// Proxies are the networks of TrustedProxies.
func (c *Config) Proxies() []netip.Prefix { return c.proxies }

// DrainTime is Drain as a duration.
func (c *Config) DrainTime() time.Duration {
	d, _ := policy.ParseDuration(c.Drain) // checked; 0 when left out
	return d.Std()
}

// Private are the networks of AllowPrivate.
func (c *Config) Private() []netip.Prefix { return c.private }
