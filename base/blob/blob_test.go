package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func put(ctx context.Context, d *Dir, r io.Reader) (string, int64, error) {
	b, err := d.Write(ctx, r)
	if err != nil {
		return "", 0, err
	}
	return b.Name, b.Size, b.Keep(ctx)
}

// files counts the files below a folder.
func files(t *testing.T, root string) (n int) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBytesAreKeptOnce(t *testing.T) {
	root := t.TempDir()
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("hearth ", 10_000)
	var name string
	for range 3 {
		got, size, err := put(t.Context(), d, strings.NewReader(text))
		if err != nil || size != int64(len(text)) || name != "" && got != name {
			t.Fatalf("%s, %d bytes, %v", got, size, err)
		}
		name = got
	}
	if n := files(t, root); n != 1 {
		t.Errorf("%d files for the same bytes", n)
	}
	f, err := d.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != text {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
	for range 2 {
		if err := d.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	for _, gone := range []string{name, "", "../../etc/passwd"} {
		if _, err := d.Open(t.Context(), gone); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", gone, err)
		}
	}
}

// TestNothingIsLeftOfWhatFails: of an upload that breaks off, and of one that a
// crash cut short.
func TestNothingIsLeftOfWhatFails(t *testing.T) {
	root := t.TempDir()
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), errReader{})
	if _, _, err := put(t.Context(), d, broken); err == nil {
		t.Error("a broken upload was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := put(ctx, d, strings.NewReader("x")); err == nil {
		t.Error("an upload was taken for which nobody waits")
	}
	if n := files(t, root); n != 0 {
		t.Errorf("%d files are left", n)
	}
	old := filepath.Join(root, "tmp", "OLD")
	if err := os.WriteFile(old, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * oldTemp)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root); err != nil {
		t.Fatal(err)
	}
	if n := files(t, root); n != 0 {
		t.Error("litter of an earlier process is left")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken off") }
