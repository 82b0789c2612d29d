package pushrule

import (
	"strings"
	"unicode/utf8"
)

// glob is a pattern of * and ? (appendices/#glob-style-matching), compared
// without regard to case: it and the strings given to it are in lower case.
//
// The stars cut it into pieces. Each piece but the last is taken at its first
// place after the one before, which leaves the most room for the rest, so a
// match takes at most length of pattern times length of text.
type glob struct {
	pieces []piece
}

type piece struct {
	text string
	any  bool // has a ?
}

func newGlob(pattern string) glob {
	var g glob
	for p := range strings.SplitSeq(strings.ToLower(pattern), "*") {
		g.pieces = append(g.pieces, piece{p, strings.Contains(p, "?")})
	}
	return g
}

// literal makes a glob that matches s itself, stars and all.
func literal(s string) glob {
	return glob{[]piece{{text: strings.ToLower(s)}}}
}

// whole reports whether g matches all of s.
func (g glob) whole(s string) bool {
	if len(g.pieces) == 1 && !g.pieces[0].any {
		return g.pieces[0].text == s
	}
	return g.find(s, edge)
}

// words reports whether g matches a part of s that starts and ends at a word
// boundary.
func (g glob) words(s string) bool { return g.find(s, boundary) }

// find reports whether g matches a part of s whose both ends are where stop
// says yes.
func (g glob) find(s string, stop func(s string, i int) bool) bool {
	last := len(g.pieces) - 1
	at := 0
	for i, p := range g.pieces {
		_, end := p.find(s, at, func(from, to int) bool {
			return (i > 0 || stop(s, from)) && (i < last || stop(s, to))
		})
		if end < 0 {
			return false
		}
		at = end
	}
	return true
}

// find returns the first place of p in s, at or after from, that ok agrees
// with; end is -1 if there is none.
func (p piece) find(s string, from int, ok func(from, to int) bool) (start, end int) {
	for from <= len(s) {
		start, end = p.next(s, from)
		if end < 0 || ok(start, end) {
			return start, end
		}
		_, n := utf8.DecodeRuneInString(s[start:])
		from = start + max(n, 1)
	}
	return 0, -1
}

func (p piece) next(s string, from int) (start, end int) {
	if !p.any {
		i := strings.Index(s[from:], p.text)
		if i < 0 {
			return 0, -1
		}
		return from + i, from + i + len(p.text)
	}
	for start = from; start < len(s); {
		if end := p.at(s, start); end >= 0 {
			return start, end
		}
		_, n := utf8.DecodeRuneInString(s[start:])
		start += n
	}
	return 0, -1
}

// at returns where p ends if it matches at i, or -1.
func (p piece) at(s string, i int) int {
	for _, want := range p.text {
		if i == len(s) {
			return -1
		}
		got, n := utf8.DecodeRuneInString(s[i:])
		if want != '?' && want != got {
			return -1
		}
		i += n
	}
	return i
}

func edge(s string, i int) bool { return i == 0 || i == len(s) }

// boundary reports whether i is at an end of s or beside a character outside
// [A-Za-z0-9_]. Letters of other alphabets are outside: the specification
// names just these.
func boundary(s string, i int) bool {
	return edge(s, i) || !word(s[i-1]) || !word(s[i])
}

func word(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
