package pushrule

import (
	"strings"
	"unicode/utf8"
)

// maxAny is the longest piece with a question mark, in characters: its
// progress is kept in the bits of one word.
const maxAny = 64

// glob is a pattern of * and ? (appendices/#glob-style-matching), compared
// without regard to case: it and the strings given to it are in lower case.
//
// The stars cut it into pieces. Each piece but the last is taken at its first
// place after the one before, which leaves the most room for the rest, so one
// pass over the text is enough.
type glob struct {
	pieces []piece
}

// newGlob reports false if a piece with a question mark is longer than maxAny.
func newGlob(pattern string) (g glob, ok bool) {
	for p := range strings.SplitSeq(strings.ToLower(pattern), "*") {
		if !strings.Contains(p, "?") {
			g.pieces = append(g.pieces, piece{text: p})
			continue
		}
		n := utf8.RuneCountInString(p)
		if n > maxAny {
			return glob{}, false
		}
		g.pieces = append(g.pieces, piece{text: p, any: newAnyPiece(p, n)})
	}
	return g, true
}

// literal makes a glob that matches s itself, stars and all.
func literal(s string) glob {
	return glob{[]piece{{text: strings.ToLower(s)}}}
}

// whole reports whether g matches all of s.
func (g glob) whole(s string) bool {
	if len(g.pieces) == 1 && g.pieces[0].any == nil {
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

// piece is a part of a pattern without stars.
type piece struct {
	text string
	any  *anyPiece // if it has a question mark
}

// find returns the first place of p in s, at or after from, that ok agrees
// with; end is -1 if there is none.
func (p piece) find(s string, from int, ok func(from, to int) bool) (start, end int) {
	if p.any != nil {
		return p.any.find(s, from, ok)
	}
	for from <= len(s) {
		i := strings.Index(s[from:], p.text)
		if i < 0 {
			break
		}
		start, end = from+i, from+i+len(p.text)
		if ok(start, end) {
			return start, end
		}
		_, n := utf8.DecodeRuneInString(s[start:])
		from = start + max(n, 1)
	}
	return 0, -1
}

// anyPiece finds a piece with question marks in one pass (the shift-and
// method): bit i of the state says that the last characters are like the first
// i+1 of the piece.
type anyPiece struct {
	ascii [utf8.RuneSelf]uint64 // where in the piece a character may be
	other map[rune]uint64
	any   uint64 // where the question marks are
	runes int
}

func newAnyPiece(text string, runes int) *anyPiece {
	p := &anyPiece{other: map[rune]uint64{}, runes: runes}
	bit := uint64(1)
	for _, c := range text {
		switch {
		case c == '?':
			p.any |= bit
		case c < utf8.RuneSelf:
			p.ascii[c] |= bit
		default:
			p.other[c] |= bit
		}
		bit <<= 1
	}
	return p
}

func (p *anyPiece) find(s string, from int, ok func(from, to int) bool) (start, end int) {
	done := uint64(1) << (p.runes - 1)
	state, seen := uint64(0), 0
	start, end = from, from
	for end < len(s) {
		c, n := utf8.DecodeRuneInString(s[end:])
		end += n
		// start stays as many characters behind as the piece has.
		if seen++; seen > p.runes {
			_, n = utf8.DecodeRuneInString(s[start:])
			start += n
		}
		at := p.any
		if c < utf8.RuneSelf {
			at |= p.ascii[c]
		} else {
			at |= p.other[c]
		}
		state = (state<<1 | 1) & at
		if state&done != 0 && ok(start, end) {
			return start, end
		}
	}
	return 0, -1
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
