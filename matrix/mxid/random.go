package mxid

import "crypto/rand"

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// RandomString returns n letters A-Z a-z from the system's random source, about
// 5.7 bits each. It fits into every identifier, token and device id. crypto/rand
// ends the program rather than return bad randomness.
func RandomString(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			// 208 is the greatest multiple of 52 in a byte: more would favour
			// the first letters.
			if b < 208 && len(out) < n {
				out = append(out, letters[b%52])
			}
		}
	}
	return string(out)
}
