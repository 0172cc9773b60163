package webhook

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/wanbi/wanbi/internal/recovery"
)

// T19: the first and last address of each network, and its public neighbours.
func TestPublic(t *testing.T) {
	for network, c := range map[string]struct{ in, out []string }{
		"unspecified":  {in: []string{"0.0.0.0", "0.255.255.255", "::"}, out: []string{"1.0.0.0"}},
		"private 10":   {in: []string{"10.0.0.0", "10.255.255.255"}, out: []string{"9.255.255.255", "11.0.0.0"}},
		"private 172":  {in: []string{"172.16.0.0", "172.31.255.255"}, out: []string{"172.15.255.255", "172.32.0.0"}},
		"private 192":  {in: []string{"192.168.0.0", "192.168.255.255"}, out: []string{"192.167.255.255", "192.169.0.0"}},
		"CGNAT":        {in: []string{"100.64.0.0", "100.127.255.255", "100.100.100.200"}, out: []string{"100.63.255.255", "100.128.0.0"}},
		"loopback":     {in: []string{"127.0.0.0", "127.255.255.255", "::1"}, out: []string{"126.255.255.255", "128.0.0.0"}},
		"link-local":   {in: []string{"169.254.0.0", "169.254.169.254", "169.254.255.255", "fe80::1", "fe80::1%eth0", "febf::1"}, out: []string{"169.253.255.255", "169.255.0.0"}},
		"metadata":     {in: []string{"192.0.0.192", "168.63.129.16", "fd00:ec2::254"}, out: []string{"168.63.129.15", "168.63.129.17", "192.0.1.0"}},
		"benchmarking": {in: []string{"198.18.0.0", "198.19.255.255"}, out: []string{"198.17.255.255", "198.20.0.0"}},
		"multicast":    {in: []string{"224.0.0.0", "239.255.255.255", "ff02::1", "ff0e::1"}, out: []string{"223.255.255.255"}},
		"reserved":     {in: []string{"240.0.0.0", "255.255.255.255"}},
		"unique local": {in: []string{"fc00::1", "fdff:ffff::1"}},
		"mapped":       {in: []string{"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"}, out: []string{"::ffff:8.8.8.8"}},
		"compatible":   {in: []string{"::127.0.0.1", "::8.8.8.8"}},
		"NAT64":        {in: []string{"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::1"}},
		"6to4, Teredo": {in: []string{"2002:7f00:1::1", "2001::1", "2001:1ff::1"}, out: []string{"2001:200::1", "2003::1"}},
		"documentation": {
			in:  []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "2001:db8:ffff::1", "3fff::1"},
			out: []string{"2001:db9::1", "2001:db7::1"},
		},
		"global": {out: []string{"8.8.8.8", "223.5.5.5", "2400:3200::1", "2000::1", "3ffe::1"}},
	} {
		for _, a := range c.in {
			if public(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s counts as public", network, a)
			}
		}
		for _, a := range c.out {
			if !public(netip.MustParseAddr(a)) {
				t.Errorf("%s: the neighbour %s counts as not public", network, a)
			}
		}
	}
}

// T19: every way to write "this machine" is refused when it is dialled, with a
// server listening there to tell.
func TestPostRefusesToCallInside(t *testing.T) {
	for _, useTLS := range []bool{false, true} {
		h := newHost(t, useTLS, nil)
		_, port, err := net.SplitHostPort(h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		scheme := "http"
		if useTLS {
			scheme = "https"
		}
		for _, name := range []string{
			"127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]",
			"[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
		} {
			c := newClient()
			c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			target := fmt.Sprintf("%s://%s:%s/", scheme, name, port)
			if err := c.Post(t.Context(), target, "", question{}, nil); !recovery.IsKind(err, recovery.KindForbidden) {
				t.Errorf("%s: %v", target, err)
			}
		}
		if n := len(h.all()); n != 0 {
			t.Errorf("%d requests arrived", n)
		}
	}
}

// Decimal, octal and short forms are names to Go, not addresses: whatever a
// resolver makes of them is looked at when it is dialled.
func TestPostRefusesOddWritings(t *testing.T) {
	h := newHost(t, false, nil)
	_, port, err := net.SplitHostPort(h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
		c := newClient()
		c.AllowPrivate = nil
		if err := c.Post(t.Context(), fmt.Sprintf("http://%s:%s/", name, port), "", question{}, nil); err == nil {
			t.Errorf("%s: called", name)
		}
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestPostAllowsWhatIsConfigured(t *testing.T) {
	h := newHost(t, false, nil)
	for network, ok := range map[string]bool{"127.0.0.1/32": true, "127.0.0.0/8": true, "127.0.0.2/32": false} {
		c := newClient()
		c.AllowPrivate = []netip.Prefix{netip.MustParsePrefix(network)}
		if err := c.Post(t.Context(), h.URL, "", question{}, nil); (err == nil) != ok {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// http goes to allowed networks only, so a public address is refused before any
// packet leaves; https to it would be dialled.
func TestPlainHTTPStaysInside(t *testing.T) {
	c := newClient()
	err := c.Post(t.Context(), "http://8.8.8.8:9/", "", question{}, nil)
	if !recovery.IsKind(err, recovery.KindForbidden) {
		t.Errorf("%v", err)
	}
	guard := guardedDialer(func(addr netip.Addr) bool { return public(addr) })
	if err := guard.Control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Errorf("a public address: %v", err)
	}
	if err := guard.Control("tcp4", "nonsense", nil); err == nil {
		t.Error("nonsense passed")
	}
}

func TestPostRefusesOtherURLs(t *testing.T) {
	for _, target := range []string{
		"", "host.example/find", "ftp://host.example/", "file:///etc/passwd", "gopher://host.example/",
		"https://user:pass@host.example/", "https://", "https://主机.example/", "http://[::1", "https://host.example/\x00",
	} {
		if err := newClient().Post(t.Context(), target, "", question{}, nil); !recovery.IsKind(err, recovery.KindForbidden) {
			t.Errorf("%q: %v", target, err)
		}
	}
}
