package server_test

import (
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"hearth/base/blob/s3test"
	"hearth/base/config"
	"hearth/e2e"
)

// pattern is so many bytes that are made while they are read.
type pattern struct{ at, size int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at))
	for i := range b[:n] {
		b[i] = byte((p.at + int64(i)) >> 12)
	}
	p.at += int64(n)
	return n, nil
}

// watchHeap looks at how many bytes of objects there are until it is stopped, and
// then tells by how many that grew at most.
func watchHeap() (stop chan struct{}, peak chan uint64) {
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	stop, peak = make(chan struct{}), make(chan uint64)
	start := heap()
	go func() {
		most := start
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			most = max(most, heap())
			select {
			case <-tick.C:
			case <-stop:
				tick.Stop()
				peak <- most - start
				return
			}
		}
	}()
	return stop, peak
}

// TestFilesStream: a large file passes through the server in both directions
// without ever being in memory. Looked at is the most that the server and the
// client have at a time, which is little more than what they allocate in all.
func TestFilesStream(t *testing.T) {
	const size, most = 300 << 20, 20 << 20
	measure := func(t *testing.T, h *house, alice *e2e.Client) {
		t.Helper()
		client := &http.Client{}
		defer client.CloseIdleConnections()
		do := func(method, path string, body io.Reader) *http.Response {
			req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+alice.Token)
			req.Header.Set("Content-Type", "video/mp4")
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		runtime.GC()
		stop, peak := watchHeap()
		res := do("POST", "/_matrix/media/v3/upload", &pattern{size: size})
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		_, uri, ok := strings.Cut(string(answer), "mxc://")
		if err != nil || !ok {
			t.Fatalf("%d %s %v", res.StatusCode, answer, err)
		}
		res = do("GET", newDownload+uri[:strings.IndexByte(uri, '"')], nil)
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || n != size || res.StatusCode != 200 {
			t.Fatalf("%d: %d bytes, %v", res.StatusCode, n, err)
		}
		close(stop)
		took := <-peak
		t.Logf("%d MB there and back took %d KB of memory", size>>20, took>>10)
		if took > most {
			t.Errorf("a file of %d bytes took %d bytes of memory", size, took)
		}
	}
	t.Run("folder", func(t *testing.T) {
		h := newHouse(t, "", func(c *config.Config) { c.Media.MaxUpload = 1 << 30 })
		measure(t, h, h.user(t, "alice"))
	})
	t.Run("bucket", func(t *testing.T) {
		b := s3test.Start(t)
		h := newHouse(t, "", func(c *config.Config) {
			c.Media.MaxUpload = 1 << 30
			c.S3 = config.S3{Endpoint: "http://" + b.Endpoint, Bucket: b.Name, Prefix: b.Prefix, AccessKey: b.AccessKey, SecretKey: b.SecretKey, Region: b.Region, PathStyle: true}
		})
		measure(t, h, h.user(t, "alice"))
	})
}
