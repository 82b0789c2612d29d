package canonjson

import (
	"bytes"
	"slices"
)

// member is where one member of an open object stands in the output: the key
// between its quotes, and the value up to end.
type member struct {
	key, keyEnd, end int
}

// object copies an object. As long as the keys ascend, what was written is
// right; only when they do not are the members put in order at the end.
func (s *scanner) object() error {
	if s.depth--; s.depth < 0 {
		return ErrDepth
	}
	s.at++
	s.out = append(s.out, '{')
	base, body := len(s.members), len(s.out)
	sorted := true
	for first := true; ; first = false {
		c := s.next()
		if c == '}' && first {
			break
		}
		if c != '"' {
			return ErrSyntax
		}
		m := member{key: len(s.out) + 1}
		if err := s.str(); err != nil {
			return err
		}
		m.keyEnd = len(s.out) - 1
		if s.next() != ':' {
			return ErrSyntax
		}
		s.at++
		s.out = append(s.out, ':')
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		m.end = len(s.out)
		if !first {
			last := s.members[len(s.members)-1]
			sorted = sorted && compareKeys(s.out[last.key:last.keyEnd], s.out[m.key:m.keyEnd]) < 0
		}
		s.members = append(s.members, m)
		if c = s.next(); c == '}' {
			break
		}
		if c != ',' {
			return ErrSyntax
		}
		s.at++
		s.out = append(s.out, ',')
	}
	s.at++
	if !sorted {
		if err := s.reorder(base, body); err != nil {
			return err
		}
	}
	s.members = s.members[:base]
	s.out = append(s.out, '}')
	s.depth++
	return nil
}

// reorder sorts the members that were written from body on.
func (s *scanner) reorder(base, body int) error {
	ms, out := s.members[base:], s.out
	// Stable, so that of equal keys the last one in the source comes last.
	slices.SortStableFunc(ms, func(a, b member) int {
		return compareKeys(out[a.key:a.keyEnd], out[b.key:b.keyEnd])
	})
	// The sorted copy is made behind the members and then moved to their place.
	written := len(s.out)
	s.out = slices.Grow(s.out, written-body)
	for i, m := range ms {
		if i+1 < len(ms) && bytes.Equal(s.out[m.key:m.keyEnd], s.out[ms[i+1].key:ms[i+1].keyEnd]) {
			if s.numbers != Loose {
				return ErrDuplicate
			}
			continue
		}
		if len(s.out) > written {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, s.out[m.key-1:m.end]...)
	}
	n := copy(s.out[body:], s.out[written:])
	s.out = s.out[:body+n]
	return nil
}

// compareKeys orders keys, given in their canonical written form, by code point.
// The bytes of UTF-8 have that order, but escapes must be undone first: a quote
// sorts as 0x22, not as the backslash that stands before it.
func compareKeys(a, b []byte) int {
	if bytes.IndexByte(a, '\\') < 0 && bytes.IndexByte(b, '\\') < 0 {
		return bytes.Compare(a, b)
	}
	return bytes.Compare(unescape(a), unescape(b))
}
