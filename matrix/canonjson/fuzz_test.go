package canonjson

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"
)

// FuzzCanonical holds Canonical against encoding/json: what it accepts must be
// JSON with the same meaning, canonical form must be stable, and what it refuses
// without a reason of its own encoding/json must refuse too.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		sample, `{}`, `[1,2.5,-0,1e10]`, `{"b":1,"a":{"d":2,"c":[]}}`, `"\ud83d\ude00\u0000\/"`,
		`{"a":1,"a":2}`, `{"\"":1,"A":2,"\u0041":3}`, "\"\xff\"", `[[[[]]]]`, `{"a":"` + "\u2028" + `"}`, ` 12 `, `nul`, `"\ud800"`,
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, mode uint8) {
		opt := Options{Numbers: Numbers(mode % 3)}
		out, err := Canonical(nil, in, opt)
		want, jsonErr := decode(in)
		if err != nil {
			if err == ErrSyntax || err == ErrTrailing {
				// encoding/json replaces bytes that are not UTF-8 and half
				// surrogates, but its grammar is ours.
				if json.Valid(in) {
					t.Fatalf("refused valid JSON %q: %v", in, err)
				}
			}
			return
		}
		if jsonErr != nil {
			t.Fatalf("accepted %q, encoding/json says %v", in, jsonErr)
		}
		got, err := decode(out)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q, which means %v, not %v (%v)", in, out, got, want, err)
		}
		again, err := Canonical(nil, out, opt)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q is not stable: %q, %v", out, again, err)
		}
		readAll(t, out)
	})
}

// decode is the meaning of b for encoding/json, numbers as float64.
func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return v, nil
}

// readAll walks canonical JSON with the readers, which must see all of it.
func readAll(t *testing.T, raw []byte) {
	switch {
	case IsObject(raw):
		var rebuilt []byte
		rebuilt = append(rebuilt, '{')
		if !Each(raw, func(k, v []byte) bool {
			readAll(t, v)
			rebuilt = AppendMember(rebuilt, 1, k, v)
			return true
		}) {
			t.Fatalf("cannot walk %q", raw)
		}
		if rebuilt = append(rebuilt, '}'); !bytes.Equal(rebuilt, raw) {
			t.Fatalf("%q was walked as %q", raw, rebuilt)
		}
	case IsArray(raw):
		if !EachElem(raw, func(v []byte) bool { readAll(t, v); return true }) {
			t.Fatalf("cannot walk %q", raw)
		}
	case IsString(raw):
		s, ok := String(raw)
		var want string
		if err := json.Unmarshal(raw, &want); !ok || err != nil || s != want {
			t.Fatalf("string %q read as %q, not %q", raw, s, want)
		}
		if q := Quote(nil, s); !bytes.Equal(q, raw) {
			t.Fatalf("string %q quoted as %q", raw, q)
		}
	}
}

// FuzzReaders feeds the readers with anything: they must return.
func FuzzReaders(f *testing.F) {
	f.Add([]byte(sample), "a")
	f.Add([]byte(`{"a":"\u12`), "a")
	f.Add([]byte(`{"a":}`), "a")
	f.Add([]byte(`[}`), "")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		raw, _ := Get(b, key)
		String(raw)
		Int(raw)
		EachElem(b, func(v []byte) bool { Get(v, key); return true })
		Without(nil, b, key)
		With(nil, b, key, []byte("1"))
	})
}
