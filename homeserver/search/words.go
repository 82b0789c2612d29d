package search

import (
	"strings"
	"unicode"

	"hearth/base/fold"

	"golang.org/x/text/unicode/norm"
)

// Bounds of texts and searches.
const (
	maxDocWords = 5000
	// MaxWords bounds the words of a search.
	MaxWords = 20
	maxWord  = 100 // bytes; the rest of a word is left out
)

// Words splits a text: runs of letters and
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
	for _, r := range norm.NFKC.String(text) {
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

// keys are the words of a text as the index has them, the same in both databases.
func keys(text string, limit int) []string {
	return Words(fold.Text(text), limit)
}

// Rank says how closely an event answers to words that it has: the more often
// in the shorter a text, the more. The databases would weigh rare words more,
// but for that must count each word's every use.
func Rank(words []string, typ string, content []byte) float64 {
	_, text := textOf(typ, content)
	in := keys(text, maxDocWords)
	rank := 0.0
	for _, w := range keys(strings.Join(words, " "), MaxWords) {
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
