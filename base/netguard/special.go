// Package netguard says which addresses are the public internet's and which
// are not. TURN asks it before it relays for a user, and whatever fetches a
// URL that a stranger chose dials through its Control.
//
// It knows ranges of addresses. It does not know names, users, or why
// somebody asks, and it keeps no state.
package netguard

import "net/netip"

// Special reports whether addr is anything but an ordinary public unicast
// address, and says in a few words what it is instead. The ranges are those
// of IANA's special-purpose registries (RFC 6890 and its successors), plus
// multicast, reserved space, and every range that carries an IPv4 address
// inside an IPv6 one, because a translator on the path would undo the disguise.
//
// An IPv4-mapped address is judged as the IPv4 address it stands for. Zones
// are ignored; an invalid addr is special.
func Special(addr netip.Addr) (reason string, special bool) {
	if !addr.IsValid() {
		return "not an address", true
	}
	addr = addr.Unmap().WithZone("")
	table := special4
	if addr.Is6() {
		table = special6
	}
	for _, r := range table {
		if r.prefix.Contains(addr) {
			return r.what, true
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return "outside global unicast", true
	}
	return "", false
}

type named struct {
	prefix netip.Prefix
	what   string
}

// globalUnicast is all that IANA hands out to networks. The rest of the IPv6
// space has no public use, so what it will mean one day is refused today.
var globalUnicast = netip.MustParsePrefix("2000::/3")

var special4 = []named{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112"},
	{netip.MustParsePrefix("192.52.193.0/24"), "automatic multicast tunnel"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
}

// special6 is read in order: the first match names the address.
var special6 = []named{
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard only"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy prefix"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001:2::/48"), "benchmarking"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("5f00::/16"), "segment routing"},
	{netip.MustParsePrefix("fc00::/7"), "unique local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}
