package canonjson

import (
	"fmt"
	"testing"
)

var ordered, shuffled = func() ([]byte, []byte) {
	var a, b []byte
	a, b = append(a, '{'), append(b, '{')
	for i := range 20 {
		if i > 0 {
			a, b = append(a, ','), append(b, ", "...)
		}
		a = fmt.Appendf(a, `"key_%02d":"some value of a usual length, %d"`, i, i)
		b = fmt.Appendf(b, `"key_%02d" : "some value of a usual length, %d"`, (i*7)%20, (i*7)%20)
	}
	return append(a, '}'), append(b, '}')
}()

func BenchmarkCanonicalInOrder(b *testing.B) { benchCanonical(b, ordered) }
func BenchmarkCanonicalSorting(b *testing.B) { benchCanonical(b, shuffled) }

func benchCanonical(b *testing.B, in []byte) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	dst := make([]byte, 0, 4*len(in))
	for b.Loop() {
		if _, err := Canonical(dst[:0], in, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
