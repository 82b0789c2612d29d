package media

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"hearth/base/blob"
	"hearth/base/db"
	"hearth/base/store/storetest"
)

// TestTheSameBytesComeAndGo: files of the same bytes are added and deleted at the
// same time; whatever file is there has its bytes, and in the end nothing is left.
func TestTheSameBytesComeAndGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		dir, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		e := New(Config{DB: d, Blobs: dir, Server: "example.test"})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					id, err := e.Add(t.Context(), Upload{User: "@a:example.test", Type: "text/plain", Content: strings.NewReader("the same")})
					if err != nil {
						t.Error(err)
						return
					}
					f, err := e.Open(t.Context(), Want{Origin: "example.test", ID: id})
					if err != nil {
						t.Errorf("a file has lost its bytes: %v", err)
						return
					}
					f.Content.Close()
					m, err := e.Info(t.Context(), "example.test", id)
					if err == nil {
						_, err = e.Delete(t.Context(), []Info{m})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		sum := sha256.Sum256([]byte("the same"))
		if _, err := dir.Open(t.Context(), hex.EncodeToString(sum[:])); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("bytes are left of nothing: %v", err)
		}
		if n := len(e.holds.of); n != 0 {
			t.Errorf("%d holds are left", n)
		}
	})
}

// TestLargeFilesKeepNobodyWaiting: files are added and deleted while another one
// is on its way to its place.
func TestLargeFilesKeepNobodyWaiting(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		dir, err := blob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		e := New(Config{DB: d, Blobs: dir, Server: "example.test"})
		release := e.holds.take("of a large file")
		id, err := e.Add(t.Context(), Upload{User: "@a:example.test", Content: strings.NewReader("small")})
		if err != nil {
			t.Fatal(err)
		}
		m, err := e.Info(t.Context(), "example.test", id)
		if err == nil {
			_, err = e.Delete(t.Context(), []Info{m})
		}
		if err != nil {
			t.Error(err)
		}
		release()
	})
}
