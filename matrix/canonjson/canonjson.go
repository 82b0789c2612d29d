// Package canonjson reads and writes JSON as Matrix signs it: canonical JSON
// (appendices/#canonical-json). It works on bytes and builds no tree. It knows
// nothing of events.
//
// Canonical is for bytes of unknown origin: it checks everything. Get, Each and
// their companions are for bytes that went through Canonical; on other bytes
// they never panic, but what they return has no meaning.
package canonjson

import (
	"encoding/json"
	"errors"
)

// What Canonical refuses. Errors are returned as they are, to be compared with
// errors.Is.
var (
	ErrSyntax    = errors.New("not valid JSON")
	ErrTrailing  = errors.New("data after the end of the JSON value")
	ErrUTF8      = errors.New("not valid UTF-8")
	ErrSurrogate = errors.New("half of a surrogate pair in a JSON string")
	ErrDuplicate = errors.New("duplicate key in a JSON object")
	ErrDepth     = errors.New("JSON is nested too deeply")
	ErrNumber    = errors.New("JSON number is not an integer between -(2^53-1) and 2^53-1")
)

// Numbers says which numbers are accepted and how they are written.
type Numbers int

const (
	// Strict accepts integers between ±(2^53-1), written without fraction and
	// exponent. Room versions 6 and later.
	Strict Numbers = iota
	// Convert accepts in addition fractions and exponents whose value is such
	// an integer, and writes the integer: 1e3 becomes 1000, 2.0 becomes 2.
	Convert
	// Loose accepts every finite number. Integers keep all of their digits.
	// Others are written as Python's json module writes them, as these have
	// been signed by Synapse. Duplicate keys are accepted too, the last one
	// counts. Room versions 1 to 5.
	Loose
	// Free accepts every finite number as Loose does, but no duplicate keys.
	// Bodies of requests, which nobody signs.
	Free
)

// DefaultDepth is how many objects and arrays may stand inside of each other.
const DefaultDepth = 100

// MaxInt is the greatest integer of canonical JSON; -MaxInt is the smallest.
const MaxInt = 1<<53 - 1

// Options changes what Canonical accepts. The zero value is the strict form.
type Options struct {
	Numbers  Numbers
	MaxDepth int // 0 means DefaultDepth
}

// Canonical appends the canonical form of the JSON value src to dst. On error it
// returns dst as it was, and one of the errors of this package. It does not keep
// src, which must not overlap the spare room of dst.
func Canonical(dst, src []byte, opt Options) ([]byte, error) {
	depth := opt.MaxDepth
	if depth <= 0 {
		depth = DefaultDepth
	}
	var room [24]member
	s := scanner{src: src, out: dst, numbers: opt.Numbers, depth: depth, members: room[:0]}
	s.space()
	if err := s.value(); err != nil {
		return dst, err
	}
	s.space()
	if s.at != len(s.src) {
		return dst, ErrTrailing
	}
	return s.out, nil
}

// Marshal is the canonical form of what encoding/json makes of v. Numbers with a
// fraction are refused with ErrNumber.
func Marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Canonical(make([]byte, 0, len(b)), b, Options{})
}

// scanner reads src once and appends to out as it goes.
type scanner struct {
	src     []byte
	at      int
	out     []byte
	numbers Numbers
	depth   int
	members []member // of all objects that are open, innermost last
}

// space skips white space between tokens.
func (s *scanner) space() {
	for s.at < len(s.src) {
		switch s.src[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// next skips white space and returns the byte after it, or 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at >= len(s.src) {
		return 0
	}
	return s.src[s.at]
}

// value reads one value. White space before it has been skipped.
func (s *scanner) value() error {
	if s.at >= len(s.src) {
		return ErrSyntax
	}
	switch c := s.src[s.at]; c {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		return s.str()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number()
		}
		return ErrSyntax
	}
}

func (s *scanner) word(w string) error {
	if len(s.src)-s.at < len(w) || string(s.src[s.at:s.at+len(w)]) != w {
		return ErrSyntax
	}
	s.out = append(s.out, w...)
	s.at += len(w)
	return nil
}

func (s *scanner) array() error {
	if s.depth--; s.depth < 0 {
		return ErrDepth
	}
	s.at++
	s.out = append(s.out, '[')
	for first := true; ; first = false {
		c := s.next()
		if c == ']' && first {
			break
		}
		if err := s.value(); err != nil {
			return err
		}
		if c = s.next(); c == ']' {
			break
		}
		if c != ',' {
			return ErrSyntax
		}
		s.at++
		s.out = append(s.out, ',')
	}
	s.at++
	s.out = append(s.out, ']')
	s.depth++
	return nil
}
