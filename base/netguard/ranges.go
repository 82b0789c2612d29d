package netguard

import (
	"fmt"
	"net/netip"
	"strings"
)

// Range is the addresses from From to To, both included, of one family.
type Range struct{ From, To netip.Addr }

// Ranges is a list of ranges in no particular order.
type Ranges []Range

// ParseRange reads one address ("10.0.0.1"), two with a dash between them
// ("10.0.0.0-10.255.255.255"), or a prefix ("10.0.0.0/8"). The first two are
// how coturn's denied-peer-ip and allowed-peer-ip are written, the third is
// what people expect to work as well. An IPv4-mapped range becomes IPv4.
func ParseRange(s string) (Range, error) {
	s = strings.TrimSpace(s)
	if from, to, ok := strings.Cut(s, "-"); ok {
		return parseSpan(s, from, to)
	}
	if strings.Contains(s, "/") {
		return parsePrefix(s)
	}
	a, err := parseAddr(s)
	if err != nil {
		return Range{}, fmt.Errorf("%q is not an address, a range like 10.0.0.0-10.255.255.255, or a prefix like 10.0.0.0/8", s)
	}
	return Range{a, a}, nil
}

func parseSpan(s, from, to string) (Range, error) {
	a, err := parseAddr(from)
	if err != nil {
		return Range{}, fmt.Errorf("%q: the part before the dash is not an address", s)
	}
	b, err := parseAddr(to)
	if err != nil {
		return Range{}, fmt.Errorf("%q: the part after the dash is not an address", s)
	}
	if a.Is4() != b.Is4() {
		return Range{}, fmt.Errorf("%q goes from one address family to the other", s)
	}
	if b.Less(a) {
		return Range{}, fmt.Errorf("%q ends before it begins", s)
	}
	return Range{a, b}, nil
}

func parsePrefix(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Range{}, fmt.Errorf("%q is not a prefix like 10.0.0.0/8", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	return Range{p.Addr(), last(p)}, nil
}

// parseAddr refuses zones: a range is compared with addresses from the wire,
// which have none.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err == nil && a.Zone() != "" {
		err = fmt.Errorf("%q has a zone", s)
	}
	return a.Unmap(), err
}

// last is the highest address of p, which is masked.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// ParseRanges reads each of list with ParseRange and stops at the first error.
func ParseRanges(list []string) (Ranges, error) {
	var rs Ranges
	for _, s := range list {
		r, err := ParseRange(s)
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// Contains reports whether addr, unmapped and without its zone, lies in r.
func (r Range) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return addr.Is4() == r.From.Is4() && !addr.Less(r.From) && !r.To.Less(addr)
}

// Contains reports whether addr lies in one of rs.
func (rs Ranges) Contains(addr netip.Addr) bool {
	for _, r := range rs {
		if r.Contains(addr) {
			return true
		}
	}
	return false
}

func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "-" + r.To.String()
}
