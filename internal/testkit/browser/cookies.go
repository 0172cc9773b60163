package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// site is the relation between where a request began and where it goes, in the
// words of the Sec-Fetch-Site header.
type site string

const (
	siteNone  site = "none"        // typed or bookmarked
	siteSame  site = "same-origin" // scheme, host and port agree
	siteNear  site = "same-site"   // another port of the same host
	siteCross site = "cross-site"
)

// relation compares two addresses. A host is its own site here: no test of ours
// shares a registrable domain between hosts.
func relation(from, to *url.URL) site {
	switch {
	case from.Scheme == to.Scheme && from.Host == to.Host:
		return siteSame
	case from.Scheme == to.Scheme && from.Hostname() == to.Hostname():
		return siteNear
	}
	return siteCross
}

// further gives the farther of two relations: a redirect over another site
// stays cross-site when it comes back.
func (s site) further(hop site) site {
	rank := map[site]int{siteNone: 0, siteSame: 1, siteNear: 2, siteCross: 3}
	if s == siteNone || rank[s] >= rank[hop] {
		return s
	}
	return hop
}

// cookie is one kept cookie (RFC 6265bis).
type cookie struct {
	name, value  string
	host, path   string
	domainWide   bool
	secure       bool
	sameSite     http.SameSite
	until        time.Time // zero: until the browser closes
	createdOrder int
}

type jar struct {
	cookies []*cookie
	made    int
}

// keep stores what the answer sets. A Set-Cookie that a browser would refuse is
// an error: the server believes in a cookie that nobody has.
func (j *jar) keep(from *url.URL, answer *http.Response, now time.Time) error {
	for _, line := range answer.Header.Values("Set-Cookie") {
		set, err := http.ParseSetCookie(line)
		if err != nil {
			return fmt.Errorf("Set-Cookie %q: %w", line, err)
		}
		if err := refused(set, from); err != nil {
			return fmt.Errorf("a browser refuses cookie %q: %w", set.Name, err)
		}
		j.put(set, from, now)
	}
	return nil
}

// refused says why a browser drops the cookie, nil when it keeps it.
func refused(set *http.Cookie, from *url.URL) error {
	lower := strings.ToLower(set.Name)
	host := strings.HasPrefix(lower, "__host-")
	switch {
	case (host || strings.HasPrefix(lower, "__secure-")) && !set.Secure:
		return fmt.Errorf("its prefix asks for Secure")
	case host && set.Domain != "":
		return fmt.Errorf("__Host- allows no Domain, it has %q", set.Domain)
	case host && set.Path != "/":
		return fmt.Errorf("__Host- asks for Path=/, it has %q", set.Path)
	case set.SameSite == http.SameSiteNoneMode && !set.Secure:
		return fmt.Errorf("its SameSite=None asks for Secure")
	case set.Secure && from.Scheme != "https" && !loopback(from.Hostname()):
		return fmt.Errorf("it is Secure and comes from %s, which is neither https nor loopback", from)
	case set.Domain != "" && !within(from.Hostname(), strings.TrimPrefix(set.Domain, ".")):
		return fmt.Errorf("its Domain %q does not cover %s", set.Domain, from.Hostname())
	case len(set.Name)+len(set.Value) > 4096:
		return fmt.Errorf("name and value have %d bytes, 4096 are kept", len(set.Name)+len(set.Value))
	}
	return nil
}

func (j *jar) put(set *http.Cookie, from *url.URL, now time.Time) {
	c := &cookie{
		name: set.Name, value: set.Value, secure: set.Secure, sameSite: set.SameSite,
		host: from.Hostname(), path: set.Path, createdOrder: j.made,
	}
	j.made++
	if set.Domain != "" {
		c.host, c.domainWide = strings.ToLower(strings.TrimPrefix(set.Domain, ".")), true
	}
	if !strings.HasPrefix(c.path, "/") {
		c.path = defaultPath(from.Path)
	}
	switch {
	case set.MaxAge > 0:
		c.until = now.Add(time.Duration(set.MaxAge) * time.Second)
	case set.MaxAge < 0: // Max-Age=0 or less, as net/http reads it
		c.until = now
	case !set.Expires.IsZero():
		c.until = set.Expires
	}
	kept := j.cookies[:0]
	for _, old := range j.cookies {
		if old.name != c.name || old.host != c.host || old.path != c.path || old.domainWide != c.domainWide {
			kept = append(kept, old)
		}
	}
	j.cookies = kept
	if !c.expired(now) {
		j.cookies = append(j.cookies, c)
	}
}

// header gives the Cookie header for a visit: longest path first, then oldest.
func (j *jar) header(v visit, now time.Time) string {
	var sent []*cookie
	for _, c := range j.cookies {
		if !c.matches(v.to) || c.expired(now) || !c.travels(v) {
			continue
		}
		at := len(sent)
		for at > 0 && c.before(sent[at-1]) {
			at--
		}
		sent = append(sent[:at], append([]*cookie{c}, sent[at:]...)...)
	}
	pairs := make([]string, len(sent))
	for i, c := range sent {
		pairs[i] = c.name + "=" + c.value
	}
	return strings.Join(pairs, "; ")
}

func (c *cookie) before(other *cookie) bool {
	if len(c.path) != len(other.path) {
		return len(c.path) > len(other.path)
	}
	return c.createdOrder < other.createdOrder
}

// travels applies SameSite: Strict never comes along from another site, Lax (and
// no word at all, which browsers read as Lax) only on a GET.
func (c *cookie) travels(v visit) bool {
	if v.site != siteCross || c.sameSite == http.SameSiteNoneMode {
		return true
	}
	return c.sameSite != http.SameSiteStrictMode && v.method == http.MethodGet
}

func (c *cookie) expired(now time.Time) bool { return !c.until.IsZero() && !now.Before(c.until) }

func (c *cookie) matches(to *url.URL) bool {
	host := strings.ToLower(to.Hostname())
	if host != c.host && (!c.domainWide || !within(host, c.host)) {
		return false
	}
	if c.secure && to.Scheme != "https" && !loopback(host) {
		return false
	}
	path := to.Path
	if path == "" {
		path = "/"
	}
	return path == c.path || strings.HasPrefix(path, strings.TrimSuffix(c.path, "/")+"/")
}

func within(host, domain string) bool {
	host, domain = strings.ToLower(host), strings.ToLower(domain)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

func defaultPath(path string) string {
	if i := strings.LastIndex(path, "/"); i > 0 {
		return path[:i]
	}
	return "/"
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.") || strings.HasSuffix(host, ".localhost")
}
