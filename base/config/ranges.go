package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// PortRange is an inclusive range of ports.
type PortRange struct{ First, Last uint16 }

// Len is the number of ports in r.
func (r PortRange) Len() int { return int(r.Last) - int(r.First) + 1 }

// String writes r as in the configuration: "49160-49359".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// AddrRange is an inclusive range of addresses of one family.
type AddrRange struct{ First, Last netip.Addr }

// Contains reports whether a lies in r.
func (r AddrRange) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// String writes r in coturn's syntax: "10.0.0.1" or "10.0.0.0-10.255.255.255".
func (r AddrRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

func parsePorts(v any, _ fieldTag) (any, error) {
	const hint = `write for example "49160-49359"`
	s, err := wantString(v, `"49160-49359"`)
	if err != nil {
		return nil, err
	}
	from, to, ok := strings.Cut(s, "-")
	first, err1 := portNumber(strings.TrimSpace(from))
	last, err2 := portNumber(strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%q is not a port range; %s", s, hint)
	}
	if first > last {
		return nil, fmt.Errorf("%q runs backwards; write \"%d-%d\"", s, last, first)
	}
	return PortRange{first, last}, nil
}

// parseItems reads a list with one parser for its elements.
func parseItems[T any](v any, example string, item func(string) (T, error)) ([]T, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("is %s; write a list, for example %s", typeName(v), example)
	}
	out := make([]T, 0, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, &itemError{i, fmt.Errorf("has an entry that is %s; write a list of strings, for example %s", typeName(e), example)}
		}
		t, err := item(s)
		if err != nil {
			return nil, &itemError{i, err}
		}
		out = append(out, t)
	}
	return out, nil
}

func parseNetworks(v any, _ fieldTag) (any, error) {
	const example = `["127.0.0.1", "10.0.0.0/8"]`
	return parseItems(v, example, func(s string) (netip.Prefix, error) {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("%q is not an address or network; write for example %s", s, example)
		}
		if p != p.Masked() {
			return p, fmt.Errorf("%q has bits behind the slash's %d; write %q", s, p.Bits(), p.Masked())
		}
		return p, nil
	})
}

func writeNetworks(v any) string {
	return writeList(v.([]netip.Prefix), func(p netip.Prefix) string {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.String()
	})
}

func parseExternal(v any, _ fieldTag) (any, error) {
	const example = `["203.0.113.7", "2001:db8::7"]`
	if s, ok := v.(string); ok {
		if s == "auto" {
			return []netip.Addr(nil), nil
		}
		v = []any{s}
	}
	return parseItems(v, `"auto" or `+example, func(s string) (netip.Addr, error) {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return a, fmt.Errorf("%q is not an address; write \"auto\" or for example %s", s, example)
		case a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
			return a, fmt.Errorf("%q cannot be reached from outside; write this machine's public address, or \"auto\"", s)
		}
		return a.Unmap(), nil
	})
}

func writeExternal(v any) string {
	if len(v.([]netip.Addr)) == 0 {
		return `"auto"`
	}
	return writeList(v.([]netip.Addr), netip.Addr.String)
}

func parsePeers(v any, _ fieldTag) (any, error) {
	return parseItems(v, `["192.0.2.1", "10.0.0.0-10.255.255.255"]`, parseAddrRange)
}

func writePeers(v any) string { return writeList(v.([]AddrRange), AddrRange.String) }

// parseAddrRange reads "first-last" and single addresses as in coturn's
// denied-peer-ip, and networks with a slash.
func parseAddrRange(s string) (AddrRange, error) {
	bad := fmt.Errorf("%q is not an address or range; write \"192.0.2.1\", \"10.0.0.0-10.255.255.255\" or \"10.0.0.0/8\"", s)
	if p, err := netip.ParsePrefix(s); err == nil {
		return AddrRange{p.Masked().Addr(), lastAddr(p)}, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	first, err := netip.ParseAddr(strings.TrimSpace(from))
	last := first
	if isRange && err == nil {
		last, err = netip.ParseAddr(strings.TrimSpace(to))
	}
	switch {
	case err != nil || first.Zone() != "" || last.Zone() != "":
		return AddrRange{}, bad
	case first.BitLen() != last.BitLen():
		return AddrRange{}, fmt.Errorf("%q mixes IPv4 and IPv6; write two entries", s)
	case last.Less(first):
		return AddrRange{}, fmt.Errorf("%q runs backwards; write \"%s-%s\"", s, last, first)
	}
	return AddrRange{first, last}, nil
}

// lastAddr is the highest address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b) // b has the length of an address
	return a
}

func writeList[T any](list []T, item func(T) string) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = tomlString(item(e))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
