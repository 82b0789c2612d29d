package room

import (
	"strconv"
	"strings"

	"hearth/matrix/authrules"
	"hearth/matrix/canonjson"
)

// levelOf reads a power level as old versions wrote them: an integer, a
// fraction, or either of them in a string.
func levelOf(raw []byte) (int64, bool) {
	text := string(raw)
	if s, ok := canonjson.String(raw); ok {
		text = strings.TrimSpace(s)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != f {
			return 0, false
		}
		n = int64(max(min(f, maxLevel), -maxLevel))
	}
	return max(min(n, maxLevel), -maxLevel), true
}

// maxLevel is the greatest number of canonical JSON.
const maxLevel = 1<<53 - 1

func levelJSON(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// topLevel is the highest level that anything or anybody in c has, 100 at
// least.
func topLevel(c map[string]any) int64 {
	top := int64(100)
	for _, v := range c {
		switch v := v.(type) {
		case int64:
			top = max(top, v)
		case map[string]int64:
			for _, n := range v {
				top = max(top, n)
			}
		}
	}
	return top
}

func creatorsOf(v *view) []string {
	create := v.event("m.room.create", "")
	if create == nil {
		return nil
	}
	return authrules.Creators(create.Event)
}
