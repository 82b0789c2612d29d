//go:build race

package e2e

// race says whether the test was built with the race detector.
const race = true
