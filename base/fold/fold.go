// Package fold makes texts alike that people take for the same when they look for
// something: letters of either case, with accents and without, composed or not.
// It knows no language: ö is o for everybody.
package fold

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Text folds a text.
func Text(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 {
		return strings.ToLower(s)
	}
	plain := func(r rune) rune {
		if accents(r) {
			return -1
		}
		return r
	}
	return norm.NFKC.String(strings.Map(plain, norm.NFKD.String(cases.Fold().String(s))))
}

// accents tells the marks of Latin, Greek and Cyrillic letters. Those of other
// scripts are letters of their own right.
func accents(r rune) bool {
	return r >= 0x0300 && r <= 0x036f && unicode.Is(unicode.Mn, r)
}
