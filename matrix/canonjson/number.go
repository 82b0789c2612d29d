package canonjson

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// number copies a number in the form that s.numbers asks for.
func (s *scanner) number() error {
	text, whole, err := s.numberText()
	if err != nil {
		return err
	}
	switch {
	case whole && string(text) == "-0":
		s.out = append(s.out, '0')
	case whole && (s.numbers >= Loose || inRange(text)):
		s.out = append(s.out, text...)
	case whole || s.numbers == Strict:
		return ErrNumber
	case s.numbers == Convert:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > MaxInt {
			return ErrNumber
		}
		s.out = strconv.AppendInt(s.out, int64(f), 10)
	default:
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return ErrNumber
		}
		s.out = appendFloat(s.out, f)
	}
	return nil
}

// numberText reads a number by the grammar of RFC 8259 §6. whole means that it
// has neither fraction nor exponent.
func (s *scanner) numberText() (text []byte, whole bool, err error) {
	start := s.at
	whole = true
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return nil, false, ErrSyntax
	}
	if s.peek() == '.' {
		s.at++
		whole = false
		if !s.digits() {
			return nil, false, ErrSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		whole = false
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return nil, false, ErrSyntax
		}
	}
	return s.src[start:s.at], whole, nil
}

func (s *scanner) peek() byte {
	if s.at >= len(s.src) {
		return 0
	}
	return s.src[s.at]
}

// digits reads as many digits as there are and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.src) && '0' <= s.src[s.at] && s.src[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}

// inRange reports whether the integer text lies between ±(2^53-1).
func inRange(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte("-"))
	const greatest = "9007199254740991"
	if len(digits) != len(greatest) {
		return len(digits) < len(greatest)
	}
	return string(digits) <= greatest
}

// appendFloat writes f as Python's repr does: shortest digits that round-trip,
// always with a point or an exponent, exponents below -4 and from 16 on.
func appendFloat(dst []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	dst = append(dst, text...)
	if !strings.Contains(text, ".") {
		dst = append(dst, ".0"...)
	}
	return dst
}
