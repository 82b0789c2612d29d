package authrules

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"hearth/matrix/canonjson"
	"hearth/matrix/roomver"
)

// parseLevel reads one power level in the forms that the version allows: an
// integer; before version 10 also an integer in a string; before version 6 also a
// float, which is truncated (rooms/v1/#deprecated-event-content-schemas).
func parseLevel(v *roomver.Version, raw []byte) (int64, bool) {
	if n, ok := canonjson.Int(raw); ok {
		return n, true
	}
	if canonjson.IsString(raw) {
		s, _ := canonjson.String(raw)
		return parseStringLevel(s, !v.IntegerLevels)
	}
	if v.StrictJSON || len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	if !bytes.ContainsAny(raw, ".eE") {
		return parseBig(string(raw))
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	return saturate(f), true
}

// parseStringLevel reads spaces, a sign, digits, spaces.
func parseStringLevel(s string, allowed bool) (int64, bool) {
	s = strings.TrimSpace(s)
	digits := s
	if s != "" && (s[0] == '+' || s[0] == '-') {
		digits = s[1:]
	}
	if !allowed || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	return parseBig(s)
}

// parseBig reads an integer of any size. Beyond 64 bits the exact size does not
// matter: it stays above or below everything else.
func parseBig(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, true
	}
	if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
		return n, true // ParseInt returns the nearest
	}
	return 0, false
}

func saturate(f float64) int64 {
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}
