package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func parseCount(v any, _ fieldTag) (any, error) {
	n, ok := v.(int64)
	if !ok {
		return nil, fmt.Errorf("is %s; write a whole number, for example 12", typeName(v))
	}
	if n < 0 || n > 1<<31-1 {
		return nil, fmt.Errorf("%d is out of range; write a number from 0 to 2147483647", n)
	}
	return int(n), nil
}

// parseDuration reads Go's durations and, for operators, days ("7d").
func parseDuration(v any, _ fieldTag) (any, error) {
	const hint = `write a number and a unit, for example "30s", "15m", "24h" or "7d"`
	s, err := wantString(v, `"24h"`)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 16); err == nil {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not a duration; %s", s, hint)
	}
	if d < time.Second {
		return nil, fmt.Errorf("%q is shorter than a second; %s", s, hint)
	}
	return d, nil
}

func writeDuration(v any) string {
	d := v.(time.Duration)
	switch {
	case d%time.Hour == 0:
		return tomlString(fmt.Sprintf("%dh", d/time.Hour))
	case d%time.Minute == 0:
		return tomlString(fmt.Sprintf("%dm", d/time.Minute))
	}
	return tomlString(d.String())
}

// sizeUnits in the order in which suffixes must be tried, and bigger before
// smaller for writing.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"GiB", 1 << 30},
	{"GB", 1e9},
	{"MiB", 1 << 20},
	{"MB", 1e6},
	{"KiB", 1 << 10},
	{"KB", 1e3},
	{"G", 1 << 30},
	{"M", 1 << 20},
	{"K", 1 << 10},
	{"B", 1},
	{"", 1},
}

func parseSize(v any, _ fieldTag) (any, error) {
	const hint = `write for example "100MB"`
	if n, ok := v.(int64); ok && n > 0 {
		return n, nil
	}
	s, err := wantString(v, `"100MB"`)
	if err != nil {
		return nil, err
	}
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n <= 0 || n > (1<<50)/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return nil, fmt.Errorf("%q is not a size; %s", s, hint)
}

// parseQuota reads a size, or 0 for none.
func parseQuota(v any, t fieldTag) (any, error) {
	if v == int64(0) {
		return int64(0), nil
	}
	return parseSize(v, t)
}

func writeQuota(v any) string {
	if v == int64(0) {
		return "0"
	}
	return writeSize(v)
}

func writeSize(v any) string {
	n := v.(int64)
	for _, u := range sizeUnits {
		if n%u.bytes == 0 && u.bytes > 1 {
			return tomlString(strconv.FormatInt(n/u.bytes, 10) + u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}
