package canonjson

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const sample = `{"a":{"b":[1,{"c":"}"}],"d":"\"]"},"e\"f":-5,"g":true,"h":"line\nbreak","i":[],"j":null}`

func TestGet(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"a", `{"b":[1,{"c":"}"}],"d":"\"]"}`},
		{"a/b", `[1,{"c":"}"}]`},
		{"a/d", `"\"]"`},
		{`e"f`, `-5`},
		{"g", "true"},
		{"i", "[]"},
		{"j", "null"},
	} {
		got, ok := Path([]byte(sample), strings.Split(tc.path, "/")...)
		if !ok || string(got) != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.path, got, ok, tc.want)
		}
	}
	for _, path := range []string{"b", "a/c", "g/x", "i/0", "", `e\"f`} {
		if got, ok := Path([]byte(sample), strings.Split(path, "/")...); ok {
			t.Errorf("%q: got %s", path, got)
		}
	}
}

func TestTypedGetters(t *testing.T) {
	obj := []byte(sample)
	if s, ok := GetString(obj, "h"); !ok || s != "line\nbreak" {
		t.Errorf("h: %q, %v", s, ok)
	}
	if n, ok := GetInt(obj, `e"f`); !ok || n != -5 {
		t.Errorf("e\"f: %d, %v", n, ok)
	}
	if b, ok := GetBool(obj, "g"); !ok || !b {
		t.Errorf("g: %v, %v", b, ok)
	}
	for _, key := range []string{"a", "g", "j", "none"} {
		if s, ok := GetString(obj, key); ok {
			t.Errorf("%s is the string %q", key, s)
		}
		if n, ok := GetInt(obj, key); ok {
			t.Errorf("%s is the integer %d", key, n)
		}
	}
	if _, ok := GetBool(obj, "j"); ok {
		t.Error("null is a boolean")
	}
	for _, raw := range []string{"+1", "1.0", "1e3", "", "9223372036854775808"} {
		if n, ok := Int([]byte(raw)); ok {
			t.Errorf("%q is the integer %d", raw, n)
		}
	}
}

func TestEachStopsAndReports(t *testing.T) {
	n := 0
	if ok := Each([]byte(sample), func(_, _ []byte) bool { n++; return n < 2 }); !ok || n != 2 {
		t.Errorf("stopped after %d, %v", n, ok)
	}
	for cut := range len(sample) {
		if Each([]byte(sample[:cut]), func(_, _ []byte) bool { return true }) {
			t.Errorf("cut after %d bytes and not noticed", cut)
		}
	}
	n = 0
	if ok := EachElem([]byte(`[1,[2,3],{"a":[]},"],["]`), func([]byte) bool { n++; return true }); !ok || n != 4 {
		t.Errorf("%d elements, %v", n, ok)
	}
	for _, bad := range []string{"", "[", "[1", "[1,", "{}", `["]`, "1"} {
		if EachElem([]byte(bad), func([]byte) bool { return true }) {
			t.Errorf("%q is an array", bad)
		}
	}
}

func TestWithout(t *testing.T) {
	for _, tc := range []struct{ in, drop, want string }{
		{`{"a":1,"b":2,"c":3}`, "a", `{"b":2,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, "b", `{"a":1,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, "c", `{"a":1,"b":2}`},
		{`{"a":1,"b":2,"c":3}`, "a b c", `{}`},
		{`{"a":1}`, "x", `{"a":1}`},
		{`{}`, "x", `{}`},
	} {
		in := []byte(tc.in)
		if got := Without(nil, in, strings.Fields(tc.drop)...); string(got) != tc.want {
			t.Errorf("%s without %s: %s", tc.in, tc.drop, got)
		}
		if got := Without(in[:0], in, strings.Fields(tc.drop)...); string(got) != tc.want {
			t.Errorf("%s without %s in place: %s", tc.in, tc.drop, got)
		}
	}
}

func TestWith(t *testing.T) {
	for _, tc := range []struct{ in, key, want string }{
		{`{}`, "b", `{"b":0}`},
		{``, "b", `{"b":0}`},
		{`{"a":1}`, "b", `{"a":1,"b":0}`},
		{`{"b":1}`, "b", `{"b":0}`},
		{`{"c":1}`, "b", `{"b":0,"c":1}`},
		{`{"a":1,"b":1,"c":1}`, "b", `{"a":1,"b":0,"c":1}`},
		{`{"A":1}`, `"`, `{"\"":0,"A":1}`},
	} {
		if got := With(nil, []byte(tc.in), tc.key, []byte("0")); string(got) != tc.want {
			t.Errorf("%s with %s: %s", tc.in, tc.key, got)
		}
	}
}

func TestQuoteAndString(t *testing.T) {
	for _, s := range []string{"", "plain", "é日😀", "\x00\x1f\b\t\n\f\r\"\\/", "\u2028<>&", "\x7f"} {
		q := Quote(nil, s)
		canon, err := Canonical(nil, q, Options{})
		if err != nil || string(canon) != string(q) {
			t.Errorf("%q: %s is not canonical: %s, %v", s, q, canon, err)
		}
		if got, ok := String(q); !ok || got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	}
	if got := Quote(nil, "a\xffb"); string(got) != "\"a\ufffdb\"" {
		t.Errorf("invalid UTF-8: %s", got)
	}
}

func ExampleGet() {
	raw, ok := Get([]byte(`{"body":"hi","msgtype":"m.text"}`), "body")
	fmt.Println(string(raw), ok)
	// Output: "hi" true
}

func TestSplitPath(t *testing.T) {
	for path, want := range map[string][]string{
		"":                   {""},
		"content.body":       {"content", "body"},
		`content.m\.relates`: {"content", "m.relates"},
		`a\\.b`:              {`a\`, "b"},
		`a\b.`:               {`a\b`, ""},
	} {
		if got := SplitPath(path); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
