package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

var errAddress = errors.New("this address must not be called")

// guardedDialer looks at each address after the name was resolved and before
// the connection is made: the last moment, which a second DNS answer cannot follow.
func guardedDialer(allowed func(netip.Addr) bool) *net.Dialer {
	return &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		peer, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: it does not parse", errAddress)
		}
		if !allowed(peer.Addr()) {
			return fmt.Errorf("%w: %s", errAddress, peer.Addr())
		}
		return nil
	}}
}

// inside reports whether a network of the list holds the address. An IPv4
// address inside IPv6 (::ffff:…) counts as what it reaches.
func inside(list []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, network := range list {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// special4 are the IPv4 networks that are not somebody's public host: the
// entries of the IANA IPv4 Special-Purpose Address Registry (RFC 6890) that are
// not globally reachable, multicast, and one public address that answers inside
// a cloud only.
var special4 = prefixes(
	"0.0.0.0/8",        // this network, unspecified
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; Alibaba's metadata at 100.100.100.200
	"127.0.0.0/8",      // loopback
	"169.254.0.0/16",   // link-local; most clouds' metadata at 169.254.169.254
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata at 192.0.0.192
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays, deprecated
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarking
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"168.63.129.16/32", // Azure's host agent
)

// global6 is all that IANA hands out as global unicast. Everything else in IPv6
// is refused with it: loopback, unspecified, link-local, unique local, multicast,
// IPv4-compatible, and NAT64 (64:ff9b::/96, 64:ff9b:1::/48), behind which an
// IPv4 address of any kind may hide.
var global6 = netip.MustParsePrefix("2000::/3")

// special6 are the exceptions inside it (IANA IPv6 Special-Purpose Address Registry).
var special6 = prefixes(
	"2001::/23",     // protocol assignments; Teredo carries IPv4 addresses
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4 carries IPv4 addresses
	"3fff::/20",     // documentation
)

func prefixes(list ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(list))
	for i, text := range list {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}

// public reports whether the address is a host on the internet.
func public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.Is4() {
		return !inside(special4, addr)
	}
	return addr.Zone() == "" && global6.Contains(addr) && !inside(special6, addr)
}
