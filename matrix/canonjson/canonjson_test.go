package canonjson

import (
	"errors"
	"strings"
	"testing"
)

func canon(in string, n Numbers) (string, error) {
	out, err := Canonical([]byte("kept:"), []byte(in), Options{Numbers: n})
	return strings.TrimPrefix(string(out), "kept:"), err
}

// The examples of appendices/#examples, the last of which needs Convert.
func TestExamplesOfTheSpec(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{}`, `{}`},
		{"{\n    \"one\": 1,\n    \"two\": \"Two\"\n}", `{"one":1,"two":"Two"}`},
		{"{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}", `{"a":"1","b":"2"}`},
		{`{"b":"2","a":"1"}`, `{"a":"1","b":"2"}`},
		{`{
    "auth": {
        "success": true,
        "mxid": "@john.doe:example.com",
        "profile": {
            "display_name": "John Doe",
            "three_pids": [
                {
                    "medium": "email",
                    "address": "john.doe@example.org"
                },
                {
                    "medium": "msisdn",
                    "address": "123456789"
                }
            ]
        }
    }
}`, `{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}`},
		{`{ "a": "日本語" }`, `{"a":"日本語"}`},
		{`{ "本": 2, "日": 1 }`, `{"日":1,"本":2}`},
		{`{ "a": "\u65E5" }`, `{"a":"日"}`},
		{`{ "a": null }`, `{"a":null}`},
		{`{ "a": -0, "b": 1e10 }`, `{"a":0,"b":10000000000}`},
	} {
		if got, err := canon(tc.in, Convert); err != nil || got != tc.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tc.in, got, err, tc.want)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"space of all kinds", " \t\r\n[ 1 , 2 ] \n", `[1,2]`},
		{"bare values", `"x"`, `"x"`},
		{"escapes that are not needed", `"\/\u0041\u00e9\ud83d\ude00"`, `"/Aé😀"`},
		{"escapes that are needed", `"\u0000\u0008\u0009\u000a\u000c\u000d\u001F\"\\\u0022\u005c"`, `"\u0000\b\t\n\f\r\u001f\"\\\"\\"`},
		{"DEL is not a control here", `"\u007f"`, "\"\u007f\""},
		{"keys sort by code point, not by UTF-16", `{"\ufb01":1,"\ud83d\ude00":2}`, `{"ﬁ":1,"😀":2}`},
		{"a quote sorts as a quote", `{"A":1,"\"":2,"\\":3,"[":4,"]":5}`, `{"\"":2,"A":1,"[":4,"\\":3,"]":5}`},
		{"a control sorts first", `{" ":1,"\n":2,"":3}`, `{"":3,"\n":2," ":1}`},
		{"a prefix sorts first", `{"aa":1,"a":2}`, `{"a":2,"aa":1}`},
		{"deep and unsorted", `{"z":{"y":[{"b":1,"a":{"d":1,"c":2}}]},"x":{}}`, `{"x":{},"z":{"y":[{"a":{"c":2,"d":1},"b":1}]}}`},
		{"greatest integer", `[9007199254740991,-9007199254740991]`, `[9007199254740991,-9007199254740991]`},
		{"minus zero", `-0`, `0`},
		{"words", `[true,false,null]`, `[true,false,null]`},
		{"same key in different objects", `{"a":{"a":1},"b":{"a":2}}`, `{"a":{"a":1},"b":{"a":2}}`},
	} {
		if got, err := canon(tc.in, Strict); err != nil || got != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.name, got, err, tc.want)
		}
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", ErrSyntax},
		{"only space", " \n", ErrSyntax},
		{"two values", "{} {}", ErrTrailing},
		{"rubbish behind", "{}x", ErrTrailing},
		{"duplicate key", `{"a":1,"a":2}`, ErrDuplicate},
		{"duplicate key, unsorted", `{"b":0,"a":1,"b":2}`, ErrDuplicate},
		{"duplicate key by escape", `{"a":1,"\u0061":2}`, ErrDuplicate},
		{"too deep", deep, ErrDepth},
		{"too deep in objects", strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), ErrDepth},
		{"not UTF-8", "\"\xff\"", ErrUTF8},
		{"overlong UTF-8", "\"\xc0\xaf\"", ErrUTF8},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", ErrUTF8},
		{"not UTF-8 outside of strings", "[\xff]", ErrSyntax},
		{"high surrogate alone", `"\ud83d"`, ErrSurrogate},
		{"high surrogate and text", `"\ud83dxxxxxxx"`, ErrSurrogate},
		{"low surrogate first", `"\ude00\ud83d"`, ErrSurrogate},
		{"two high surrogates", `"\ud83d\ud83d"`, ErrSurrogate},
		{"fraction", `1.5`, ErrNumber},
		{"fraction of nothing", `1.0`, ErrNumber},
		{"exponent", `1e3`, ErrNumber},
		{"one too many", `9007199254740992`, ErrNumber},
		{"one too few", `-9007199254740992`, ErrNumber},
		{"very many digits", strings.Repeat("1", 400), ErrNumber},
		{"leading zero", `01`, ErrTrailing},
		{"plus", `+1`, ErrSyntax},
		{"only minus", `-`, ErrSyntax},
		{"no digit after the point", `1.`, ErrSyntax},
		{"no digit in the exponent", `1e+`, ErrSyntax},
		{"NaN", `NaN`, ErrSyntax},
		{"raw newline in a string", "\"a\nb\"", ErrSyntax},
		{"open string", `"abc`, ErrSyntax},
		{"open escape", `"abc\`, ErrSyntax},
		{"unknown escape", `"\x41"`, ErrSyntax},
		{"short unicode escape", `"\u00"`, ErrSyntax},
		{"open array", `[1`, ErrSyntax},
		{"comma at the end", `[1,]`, ErrSyntax},
		{"comma at the start", `[,1]`, ErrSyntax},
		{"no comma", `[1 2]`, ErrSyntax},
		{"open object", `{"a":1`, ErrSyntax},
		{"comma at the end of an object", `{"a":1,}`, ErrSyntax},
		{"key is no string", `{1:1}`, ErrSyntax},
		{"no colon", `{"a" 1}`, ErrSyntax},
		{"no value", `{"a":}`, ErrSyntax},
		{"half a word", `tru`, ErrSyntax},
		{"NUL", "\x00", ErrSyntax},
	} {
		got, err := canon(tc.in, Strict)
		if !errors.Is(err, tc.want) || got != "" {
			t.Errorf("%s: got %q, %v; want %v", tc.name, got, err, tc.want)
		}
	}
}

func TestDepthLimitIsExact(t *testing.T) {
	in := strings.Repeat("[", 3) + strings.Repeat("]", 3)
	if _, err := Canonical(nil, []byte(in), Options{MaxDepth: 3}); err != nil {
		t.Errorf("3 of 3: %v", err)
	}
	if _, err := Canonical(nil, []byte(in), Options{MaxDepth: 2}); !errors.Is(err, ErrDepth) {
		t.Errorf("3 of 2: %v", err)
	}
	wide := "[" + strings.Repeat("[],", 500) + "[]]"
	if _, err := Canonical(nil, []byte(wide), Options{MaxDepth: 2}); err != nil {
		t.Errorf("many beside each other: %v", err)
	}
}

// What old room versions accept, and how a Python server has signed it.
func TestLooseNumbers(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		{"-9007199254740993", "-9007199254740993"},
		{"-0", "0"},
		{"1.0", "1.0"},
		{"-0.0", "-0.0"},
		{"50.57", "50.57"},
		{"1.50", "1.5"},
		{"5.114698E4", "51146.98"},
		{"1e15", "1000000000000000.0"},
		{"1e16", "1e+16"},
		{"1.25e+22", "1.25e+22"},
		{"1e100", "1e+100"},
		{"0.0001", "0.0001"},
		{"0.00001", "1e-05"},
		{"1e-400", "0.0"},
	} {
		if got, err := canon(tc.in, Loose); err != nil || got != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.in, got, err, tc.want)
		}
	}
	if _, err := canon("1e400", Loose); !errors.Is(err, ErrNumber) {
		t.Errorf("infinity: %v", err)
	}
	got, err := canon(`{"b":1,"a":2,"b":3,"a":4}`, Loose)
	if err != nil || got != `{"a":4,"b":3}` {
		t.Errorf("duplicate keys: got %s, %v", got, err)
	}
}

func TestConvertRefusesWhatIsNoInteger(t *testing.T) {
	for _, in := range []string{"1.5", "1e16", "1e400", "-1e-1", "9007199254740992.0"} {
		if got, err := canon(in, Convert); !errors.Is(err, ErrNumber) {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

func TestMarshal(t *testing.T) {
	got, err := Marshal(struct {
		B string `json:"b"`
		A []int  `json:"a"`
	}{"<&>\u2028", []int{1}})
	if want := "{\"a\":[1],\"b\":\"<&>\u2028\"}"; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Marshal(1.5); !errors.Is(err, ErrNumber) {
		t.Errorf("1.5: %v", err)
	}
}
