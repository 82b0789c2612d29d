package pushrule

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestGlobAgainstRegexp compares random patterns and texts with the obvious
// way: a regular expression, tried on every part between word boundaries.
func TestGlobAgainstRegexp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []rune("aabb_ é.")
	random := func(from []rune, n int) string {
		var s strings.Builder
		for range rng.IntN(n) {
			s.WriteRune(from[rng.IntN(len(from))])
		}
		return s.String()
	}
	matched := 0
	for range 20000 {
		pattern, s := random(append(letters, '*', '*', '?'), 6), random(letters, 10)
		re := regexp.QuoteMeta(pattern)
		re = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(re)
		whole := regexp.MustCompile(`^(?:` + re + `)$`)
		g, _ := newGlob(pattern)
		if got, want := g.whole(s), whole.MatchString(s); got != want {
			t.Fatalf("pattern %q on all of %q: %v, want %v", pattern, s, got, want)
		}
		want := false
		for i := 0; i <= len(s); i++ {
			for j := i; j <= len(s); j++ {
				aligned := utf8.ValidString(s[:i]) && utf8.ValidString(s[:j])
				want = want || aligned && boundary(s, i) && boundary(s, j) && whole.MatchString(s[i:j])
			}
		}
		if got := g.words(s); got != want {
			t.Fatalf("pattern %q among the words of %q: %v, want %v", pattern, s, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d of the pairs match", matched)
	}
}

// The longest body must not take a server's time.
func BenchmarkWorstGlob(b *testing.B) {
	s := strings.Repeat("a", 60000)
	for _, pattern := range []string{"a", strings.Repeat("a?", maxAny/2-1) + "b", strings.Repeat("a*", maxText/2-1) + "b", strings.Repeat("?", maxAny-1)} {
		g, ok := newGlob(pattern)
		if !ok {
			b.Fatal("not a pattern")
		}
		b.Run(pattern[:min(len(pattern), 4)], func(b *testing.B) {
			for b.Loop() {
				g.words(s)
			}
		})
	}
}
