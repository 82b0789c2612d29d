package search

import (
	"strings"
	"unicode"
)

// Bounds of texts and searches.
const (
	maxDocWords = 5000
	// MaxWords bounds the words of a search.
	MaxWords = 20
	maxWord  = 100 // bytes; the rest of a word is left out
)

// Words splits a text as both databases are to see it: runs of letters and
// digits, in lower case, up to limit of them. Scripts that do not part words are
// split into characters.
func Words(text string, limit int) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 && len(out) < limit {
			out = append(out, b.String())
		}
		b.Reset()
	}
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			flush()
			b.WriteRune(r)
			flush()
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if b.Len() < maxWord {
				b.WriteRune(unicode.ToLower(r))
			}
		default:
			flush()
		}
		if len(out) == limit {
			return out
		}
	}
	flush()
	return out
}

// Rank says how closely an event answers to words that it has: the more often
// in the shorter a text, the more. The databases would weigh rare words more,
// but for that must count each word's every use.
func Rank(words []string, typ string, content []byte) float64 {
	_, text := textOf(typ, content)
	in := Words(text, maxDocWords)
	rank := 0.0
	for _, w := range words {
		n := 0.0
		for _, x := range in {
			if x == w {
				n++
			}
		}
		rank += n / (n + 0.3 + float64(len(in))/20)
	}
	return rank
}
