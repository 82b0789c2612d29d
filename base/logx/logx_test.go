package logx

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for _, tc := range []struct{ level, format, want string }{
		{"info", "text", "level=INFO msg=hello room=!r:a.test\n"},
		{"info", "json", `"level":"INFO","msg":"hello","room":"!r:a.test"}` + "\n"},
		{"info", "auto", `"msg":"hello"`}, // a buffer is no terminal
		{"warn", "text", ""},
	} {
		var b bytes.Buffer
		log, err := New(&b, tc.level, tc.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("hello", "room", "!r:a.test")
		if got := b.String(); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s %s wrote %q", tc.level, tc.format, got)
		}
	}
}

func TestWrongWords(t *testing.T) {
	if _, err := New(os.Stderr, "loud", "text"); err == nil {
		t.Error("level loud accepted")
	}
	if _, err := New(os.Stderr, "info", "yaml"); err == nil {
		t.Error("format yaml accepted")
	}
}

func TestFileIsNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) {
		t.Error("a file was taken for a terminal")
	}
}
