package config

import (
	"fmt"
	"strings"
)

// Origin is a place in a configuration file. Line and Column count from 1;
// Line is 0 when the problem is the file itself.
type Origin struct {
	File   string
	Line   int
	Column int
}

// String writes o as editors understand it: "file:line:column".
func (o Origin) String() string {
	if o.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// At puts the place where key was written in front of err, for what turns out to
// be wrong only when the server starts. A key at its default has no line, and a
// configuration without a file no place.
func (c *Config) At(key string, err error) error {
	if err == nil || c.file == "" {
		return err
	}
	at, ok := c.origins[key]
	if !ok {
		at = Origin{File: c.file}
	}
	return fmt.Errorf("%s: %w", at, err)
}

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	At   Origin
	Text string // what is wrong; what to write instead
}

func (p Problem) Error() string { return p.At.String() + ": " + p.Text }

// Problems is everything that is wrong, in the order of the files. As an error
// it is the first problem, one line, since the rest may follow from it.
type Problems []Problem

func (ps Problems) Error() string { return ps[0].Error() }

// nearest returns the candidate that s is probably a misspelling of, or "".
func nearest(s string, candidates []string) string {
	best, bestCost := "", 1+len(s)/3
	for _, c := range candidates {
		if cost := distance(strings.ToLower(s), c); cost <= bestCost && (best == "" || cost < bestCost) {
			best, bestCost = c, cost
		}
	}
	return best
}

// distance is the number of edits from a to b, where swapping neighbours is one
// edit (optimal string alignment), because "htpp" is one slip and not two.
func distance(a, b string) int {
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
