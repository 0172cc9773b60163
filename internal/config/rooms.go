package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/policies"
)

// Realm is one policy with the host behind it.
type Realm struct {
	Policy    *policy.Policy
	Events    string
	Directory string
}

// LoadPolicy reads a policy from a file, or shipped:NAME from the program itself,
// such as shipped:hardened/yichuangtong.
func LoadPolicy(file string) (*policy.Policy, error) {
	name, ok := strings.CutPrefix(file, shippedPrefix)
	if !ok {
		return policy.LoadFile(file, channel.Catalogue())
	}
	name = strings.TrimSuffix(name, ".yaml") + ".yaml"
	text, err := fs.ReadFile(policies.Files, name)
	if err != nil {
		return nil, fmt.Errorf("no policy %s is part of this program; there are %s", file, strings.Join(Shipped(), ", "))
	}
	return policy.Load(name, text, channel.Catalogue())
}

// Shipped lists the policies that are part of the program, as LoadPolicy takes them.
func Shipped() []string {
	var names []string
	for _, pattern := range []string{"*.yaml", "hardened/*.yaml"} {
		found, err := fs.Glob(policies.Files, pattern)
		if err != nil {
			panic(err) // the patterns are ours
		}
		for _, name := range found {
			names = append(names, shippedPrefix+strings.TrimSuffix(name, ".yaml"))
		}
	}
	return names
}

// Realms loads the policies. One that proves a contact which no section of these
// settings can reach is refused.
func (c *Config) Realms() ([]Realm, error) {
	out := make([]Realm, 0, len(c.Policies))
	for _, entry := range c.Policies {
		p, err := LoadPolicy(entry.File)
		if err != nil {
			return nil, err
		}
		for kind, section := range c.Unreachable() {
			if name := sends(p, kind); name != "" {
				return nil, fmt.Errorf("%s: policy %s proves by %s, but there is no section %s to send it", c.path, entry.File, name, section)
			}
		}
		out = append(out, Realm{Policy: p, Events: entry.Events, Directory: entry.Directory})
	}
	return out, nil
}

// Unreachable gives the kinds of contact that nothing is configured for, with the
// section that is missing.
func (c *Config) Unreachable() map[recovery.ContactKind]string {
	out := map[recovery.ContactKind]string{}
	if c.SMTP == nil {
		out[recovery.ContactEmail] = "smtp"
	}
	if c.SMS == nil {
		out[recovery.ContactPhone] = "sms"
	}
	return out
}

// sends names a channel of the policy's ways that reaches the kind of contact.
func sends(p *policy.Policy, kind recovery.ContactKind) string {
	catalogue := channel.Catalogue()
	for _, intent := range recovery.Intents {
		section := p.Intents[intent]
		if section == nil {
			continue
		}
		for _, way := range section.Ways {
			if at := slices.IndexFunc(way.Prove, func(name string) bool { return catalogue[name].Contact == kind }); at >= 0 {
				return way.Prove[at]
			}
		}
	}
	return ""
}

// Sender gives what delivers messages; closeAll is to be called after the last of
// them. Messages to contacts that are Unreachable are refused.
func (c *Config) Sender(now func() time.Time, log *slog.Logger) (sender notify.Sender, closeAll func(), err error) {
	return c.Senders(now, log)
}

// Senders is Sender, by the kind of contact.
func (c *Config) Senders(now func() time.Time, log *slog.Logger) (router notify.Router, closeAll func(), err error) {
	router = notify.Router{}
	closeAll = func() {}
	if c.SMTP != nil {
		mail, err := notify.NewSMTP(notify.SMTPConfig{
			Addr: c.SMTP.Addr, TLS: c.SMTP.TLS, Auth: c.SMTP.Auth, Username: c.SMTP.Username, Password: c.SMTP.Password,
			From: c.SMTP.From, HELO: c.SMTP.HELO, Timeout: timeout(c.SMTP.Timeout), Connections: c.SMTP.Connections, Log: log,
		}, now)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.path, err)
		}
		router[recovery.ContactEmail], closeAll = mail, func() { _ = mail.Close() }
	}
	if c.SMS != nil {
		texts, err := notify.NewKannel(notify.KannelConfig{
			URL: c.SMS.Kannel.URL, Username: c.SMS.Kannel.User, Password: c.SMS.Kannel.Password, From: c.SMS.Kannel.From,
			DLRURL: c.SMS.Kannel.Reports, Timeout: timeout(c.SMS.Kannel.Timeout), MaxConcurrent: c.SMS.Kannel.Concurrent, Log: log,
		})
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", c.path, err)
		}
		router[recovery.ContactPhone] = texts
	}
	return router, closeAll, nil
}

// timeout reads a duration that check has read before; 0 for the default.
func timeout(text string) time.Duration {
	d, err := policy.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d.Std()
}

// HashCost gives the cost of new hashes; the zero value for the default.
func (c *Config) HashCost() secret.Params {
	return secret.Params{Memory: uint32(c.Hash.Memory), Time: uint32(c.Hash.Time), Threads: uint8(c.Hash.Threads)}
}

// LogLevel gives the least level that is logged.
func (c *Config) LogLevel() slog.Level {
	switch c.Log.Level {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
