package canonjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// str copies a string, undoing every escape that canonical JSON does not have.
func (s *scanner) str() error {
	open := s.at // the quote, or where the part not copied yet starts
	at := s.at + 1
	var high byte // has bit 7 if a byte is not ASCII
	for src := s.src; at < len(src); at++ {
		c := src[at]
		if plain[c] {
			high |= c
			continue
		}
		if c < ' ' {
			return ErrSyntax
		}
		if high >= utf8.RuneSelf && !utf8.Valid(src[open:at]) {
			return ErrUTF8
		}
		if c == '"' {
			s.at = at + 1
			s.out = append(s.out, src[open:s.at]...)
			return nil
		}
		s.out = append(s.out, src[open:at]...)
		s.at = at + 1
		if err := s.escape(); err != nil {
			return err
		}
		open, at, high = s.at, s.at-1, 0
	}
	return ErrSyntax
}

// plain has the bytes that stand for themselves inside of a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// escape reads what follows a backslash.
func (s *scanner) escape() error {
	if s.at >= len(s.src) {
		return ErrSyntax
	}
	c := s.src[s.at]
	s.at++
	switch c {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		s.out = append(s.out, '\\', c)
		return nil
	case '/':
		s.out = append(s.out, '/')
		return nil
	case 'u':
	default:
		return ErrSyntax
	}
	r, ok := hex4(s.src[s.at:])
	if !ok {
		return ErrSyntax
	}
	s.at += 4
	if utf16.IsSurrogate(r) {
		rest := s.src[s.at:]
		if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
			return ErrSurrogate
		}
		low, ok := hex4(rest[2:])
		if !ok {
			return ErrSyntax
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return ErrSurrogate
		}
		s.at += 6
	}
	s.out = appendRune(s.out, r)
	return nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// appendRune writes r the one way that canonical JSON has for it.
func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	if r < ' ' {
		return append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// Quote appends s as a canonical JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func Quote(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendRune(dst, r)
		i += n
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// String returns the text of the JSON string raw. It reports false if raw is
// something else. It allocates once.
func String(raw []byte) (string, bool) {
	in, ok := inner(raw)
	if !ok {
		return "", false
	}
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in), true
	}
	return string(unescape(in)), true
}

// inner is what stands between the quotes of the string raw.
func inner(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// unescape decodes the canonical inner part of a string. Parts that are not
// canonical are copied as they are.
func unescape(in []byte) []byte {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' || i+1 >= len(in) {
			out = append(out, in[i])
			continue
		}
		i++
		switch in[i] {
		case 'b':
			out = append(out, '\b')
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'f':
			out = append(out, '\f')
		case 'r':
			out = append(out, '\r')
		case 'u':
			r, ok := hex4(in[i+1:])
			if !ok {
				out = append(out, '\\', 'u')
				continue
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			out = append(out, in[i])
		}
	}
	return out
}
