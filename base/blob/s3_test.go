package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"hearth/base/blob"
	"hearth/base/blob/s3test"
)

func TestBucket(t *testing.T) {
	b := s3test.Start(t)
	s, err := blob.OpenS3(t.Context(), t.TempDir(), b)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(content []byte) string {
		t.Helper()
		d, err := s.Write(t.Context(), bytes.NewReader(content))
		if err == nil {
			err = d.Keep(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return d.Name
	}
	large := make([]byte, 40<<20) // more than one part
	_, _ = rand.Read(large)
	for _, content := range [][]byte{{}, []byte("hearth"), large} {
		name := keep(content)
		if again := keep(content); again != name {
			t.Errorf("the same bytes are %s and %s", name, again)
		}
		f, err := s.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes of %d, %v", len(got), len(content), err)
		}
		if at := int64(len(content) / 2); at > 0 {
			if _, err := f.Seek(at, io.SeekStart); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content[at:]) {
				t.Errorf("from the middle: %d bytes, %v", len(got), err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
		if _, err := s.Open(t.Context(), name); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("deleted bytes: %v", err)
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("deleting again: %v", err)
		}
	}
	b.Name = "nothing"
	if _, err := blob.OpenS3(t.Context(), t.TempDir(), b); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

// TestBucketAway: where S3 does not answer, that is what one hears.
func TestBucketAway(t *testing.T) {
	b := s3test.Start(t)
	behind := &url.URL{Scheme: "http", Host: b.Endpoint}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	b.Endpoint = proxy.Listener.Addr().String()
	s, err := blob.OpenS3(t.Context(), t.TempDir(), b)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Write(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // minio tries often
	defer cancel()
	if err := d.Keep(ctx); !errors.Is(err, blob.ErrAway) {
		t.Errorf("keep: %v", err)
	}
	if _, err := s.Open(ctx, d.Name); !errors.Is(err, blob.ErrAway) {
		t.Errorf("open: %v", err)
	}
}
