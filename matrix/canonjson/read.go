package canonjson

import (
	"bytes"
	"strconv"
)

// Each calls f for every member of the object obj, in order, until f returns
// false. key is the text between the quotes as it is written, val the whole
// value; both are parts of obj. It reports false if obj is no object or is cut
// short; a stop asked for by f counts as success.
func Each(obj []byte, f func(key, val []byte) bool) bool {
	if len(obj) < 2 || obj[0] != '{' {
		return false
	}
	at := 1
	if obj[at] == '}' {
		return true
	}
	for at < len(obj) && obj[at] == '"' {
		keyEnd := skipString(obj, at)
		if keyEnd < 0 || keyEnd >= len(obj) || obj[keyEnd] != ':' {
			return false
		}
		end := skip(obj, keyEnd+1)
		if end < 0 || end >= len(obj) {
			return false
		}
		if !f(obj[at+1:keyEnd-1], obj[keyEnd+1:end]) {
			return true
		}
		if obj[end] == '}' {
			return true
		}
		if obj[end] != ',' {
			return false
		}
		at = end + 1
	}
	return false
}

// EachElem calls f for every element of the array arr, in order, until f returns
// false. It reports false if arr is no array or is cut short.
func EachElem(arr []byte, f func(val []byte) bool) bool {
	if len(arr) < 2 || arr[0] != '[' {
		return false
	}
	at := 1
	if arr[at] == ']' {
		return true
	}
	for at < len(arr) {
		end := skip(arr, at)
		if end < 0 || end >= len(arr) {
			return false
		}
		if !f(arr[at:end]) {
			return true
		}
		if arr[end] == ']' {
			return true
		}
		if arr[end] != ',' {
			return false
		}
		at = end + 1
	}
	return false
}

// skipString returns the index after the string that starts at b[at], or -1.
func skipString(b []byte, at int) int {
	at++
	for {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return -1
		}
		end := at + i
		if i == 0 || b[end-1] != '\\' {
			return end + 1
		}
		// A quote with an odd number of backslashes before it is part of the text.
		n := 1
		for end-1-n >= at && b[end-1-n] == '\\' {
			n++
		}
		if at = end + 1; n%2 == 0 {
			return at
		}
	}
}

// skip returns the index after the value that starts at b[at], or -1.
func skip(b []byte, at int) int {
	if at >= len(b) {
		return -1
	}
	switch b[at] {
	case '"':
		return skipString(b, at)
	case '{', '[':
		return skipNested(b, at)
	}
	for at < len(b) && b[at] != ',' && b[at] != '}' && b[at] != ']' && b[at] != ':' {
		at++
	}
	return at
}

// skipNested returns the index after the object or array that starts at b[at].
// Only strings and brackets matter for that.
func skipNested(b []byte, at int) int {
	depth := 0
	for at >= 0 && at < len(b) {
		switch b[at] {
		case '"':
			at = skipString(b, at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
		at++
	}
	return -1
}

// KeyIs reports whether a key as Each gives it means name.
func KeyIs(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == name
	}
	return string(unescape(key)) == name
}

// Key is the text of a key as Each gives it.
func Key(key []byte) string {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key)
	}
	return string(unescape(key))
}

// Get returns the value of key in the object obj, as a part of obj.
func Get(obj []byte, key string) (raw []byte, ok bool) {
	Each(obj, func(k, v []byte) bool {
		if KeyIs(k, key) {
			raw, ok = v, true
			return false
		}
		return true
	})
	return raw, ok
}

// Path follows keys from object to object.
func Path(obj []byte, keys ...string) (raw []byte, ok bool) {
	raw = obj
	for _, k := range keys {
		if raw, ok = Get(raw, k); !ok {
			return nil, false
		}
	}
	return raw, true
}

// Int returns the JSON integer raw. It reports false for anything else and for
// what does not fit.
func Int(raw []byte) (int64, bool) {
	if len(raw) == 0 || len(raw) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil && raw[0] != '+'
}

// Bool returns the JSON boolean raw. It reports false, false for anything else.
func Bool(raw []byte) (val, ok bool) {
	switch string(raw) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// GetString is Get and String in one.
func GetString(obj []byte, key string) (string, bool) {
	raw, _ := Get(obj, key)
	return String(raw)
}

// GetInt is Get and Int in one.
func GetInt(obj []byte, key string) (int64, bool) {
	raw, _ := Get(obj, key)
	return Int(raw)
}

// GetBool is Get and Bool in one.
func GetBool(obj []byte, key string) (val, ok bool) {
	raw, _ := Get(obj, key)
	return Bool(raw)
}

// IsObject reports whether raw starts an object, IsArray an array and IsString a
// string.
func IsObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// IsArray reports whether raw is an array.
func IsArray(raw []byte) bool { return len(raw) > 0 && raw[0] == '[' }

// IsString reports whether raw is a string.
func IsString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }
