package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/base/blob/s3test"
	"hearth/base/config"
	"hearth/e2e"
)

// fetch is a plain HTTP request of somebody.
func (h *house) fetch(t *testing.T, who *e2e.Client, method, path, typ string, body io.Reader, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if who != nil {
		req.Header.Set("Authorization", "Bearer "+who.Token)
	}
	if typ != "" {
		req.Header.Set("Content-Type", typ)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, got
}

// upload stores a file and returns its "server/id".
func (h *house) upload(t *testing.T, who *e2e.Client, name, typ string, content []byte) string {
	t.Helper()
	res, body := h.fetch(t, who, http.MethodPost, "/_matrix/media/v3/upload?filename="+name, typ, bytes.NewReader(content))
	_, uri, ok := strings.Cut(string(body), "mxc://")
	if res.StatusCode != 200 || !ok {
		t.Fatalf("upload: %d %s", res.StatusCode, body)
	}
	return uri[:strings.IndexByte(uri, '"')]
}

const (
	oldDownload = "/_matrix/media/v3/download/"
	newDownload = "/_matrix/client/v1/media/download/"
	newSmall    = "/_matrix/client/v1/media/thumbnail/"
)

func picture(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(x * 255 / w), uint8(y * 255 / h), 90, 255})
		}
	}
	return img
}

func TestFilesComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		text := strings.Repeat("The hearth is warm. ", 5000)
		uri := h.upload(t, alice, "fire.txt", "text/plain", []byte(text))
		res, body := h.fetch(t, bob, "GET", newDownload+uri, "", nil)
		if res.StatusCode != 200 || string(body) != text {
			t.Fatalf("%d, %d bytes", res.StatusCode, len(body))
		}
		for name, want := range map[string]string{
			"Content-Type": "text/plain", "Content-Disposition": "inline; filename=fire.txt", "Cross-Origin-Resource-Policy": "cross-origin",
			"X-Content-Type-Options": "nosniff", "Content-Length": fmt.Sprint(len(text)),
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox;") {
			t.Errorf("Content-Security-Policy: %q", csp)
		}
		if res, _ := h.fetch(t, bob, "GET", newDownload+uri, "", nil, "Range", "pages=1-2"); res.StatusCode != 200 {
			t.Errorf("a range of what nobody knows: %s", res.Status) // it must be ignored (RFC 9110, section 14.2)
		}
		if res, body := h.fetch(t, bob, "GET", newDownload+uri, "", nil, "Range", "bytes=4-9"); res.StatusCode != 206 || string(body) != "hearth" {
			t.Errorf("a range: %d %q", res.StatusCode, body)
		}
		if res, _ := h.fetch(t, bob, "GET", newDownload+uri, "", nil, "If-None-Match", res.Header.Get("ETag")); res.StatusCode != 304 {
			t.Errorf("what the client has: %d", res.StatusCode)
		}
		if res, _ := h.fetch(t, bob, "GET", newDownload+uri+"/other%20name.txt", "", nil); res.Header.Get("Content-Disposition") != `inline; filename="other name.txt"` {
			t.Errorf("another name: %q", res.Header.Get("Content-Disposition"))
		}
		page := h.upload(t, alice, "evil.html", "text/html", []byte("<script>alert(1)</script>"))
		if res, _ := h.fetch(t, bob, "GET", newDownload+page, "", nil); !strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("a page is shown: %q", res.Header.Get("Content-Disposition"))
		}
		if res, _ := h.fetch(t, nil, "GET", oldDownload+uri, "", nil); res.StatusCode != 200 {
			t.Errorf("an old client gets %d", res.StatusCode)
		}
		if res, _ := h.fetch(t, nil, "GET", newDownload+uri, "", nil); res.StatusCode != 401 {
			t.Errorf("without a token: %d", res.StatusCode)
		}
		for _, path := range []string{newDownload + "example.test/none", newDownload + "elsewhere.test/none", newSmall + "example.test/none?width=9&height=9"} {
			if res, body := h.fetch(t, bob, "GET", path, "", nil); res.StatusCode != 404 || !bytes.Contains(body, []byte("M_NOT_FOUND")) {
				t.Errorf("%s: %d %s", path, res.StatusCode, body)
			}
		}
	})
}

func TestFilesAreBounded(t *testing.T) {
	h := newHouse(t, "", func(c *config.Config) {
		c.Media.MaxUpload, c.Media.UserQuota, c.Media.Unauthenticated = 1000, 2500, false
	})
	alice := h.user(t, "alice")
	for _, body := range []io.Reader{bytes.NewReader(make([]byte, 1001)), io.MultiReader(bytes.NewReader(make([]byte, 2000)))} { // with and without a length
		if res, got := h.fetch(t, alice, "POST", "/_matrix/media/v3/upload", "", body); res.StatusCode != 413 || !bytes.Contains(got, []byte("M_TOO_LARGE")) {
			t.Errorf("too large: %d %s", res.StatusCode, got)
		}
	}
	uri := h.upload(t, alice, "a", "", make([]byte, 1000))
	h.upload(t, alice, "b", "", append(make([]byte, 999), 1))
	if res, got := h.fetch(t, alice, "POST", "/_matrix/media/v3/upload", "", bytes.NewReader(make([]byte, 900))); res.StatusCode != 403 || !bytes.Contains(got, []byte(`"errcode":"M_USER_LIMIT_EXCEEDED"`)) || !bytes.Contains(got, []byte(`"info_uri":"https://`)) {
		t.Errorf("beyond the quota: %d %s", res.StatusCode, got)
	}
	if res, _ := h.fetch(t, nil, "GET", oldDownload+uri, "", nil); res.StatusCode != 404 {
		t.Errorf("without a token where that is switched off: %d", res.StatusCode)
	}
	if res, got := h.fetch(t, alice, "GET", "/_matrix/client/v1/media/config", "", nil); string(bytes.TrimSpace(got)) != `{"m.upload.size":1000}` {
		t.Errorf("config: %d %s", res.StatusCode, got)
	}
}

// TestQuotaHoldsForUploadsAtOnce: those that begin while there is room for one of
// them do not all stay.
func TestQuotaHoldsForUploadsAtOnce(t *testing.T) {
	onBothWith(t, func(t *testing.T, database string) {
		h := newHouse(t, database, func(c *config.Config) { c.Media.UserQuota = 2500 })
		alice := h.user(t, "alice")
		begun, end := make(chan struct{}, 8), make(chan struct{})
		var stayed atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				body := io.MultiReader(bytes.NewReader(append(make([]byte, 999), byte(i))), &held{begun, end})
				if res, _ := h.fetch(t, alice, "POST", "/_matrix/media/v3/upload", "", body); res.StatusCode == 200 {
					stayed.Add(1)
				}
			})
		}
		for range 8 {
			<-begun
		}
		close(end)
		all.Wait()
		if n := stayed.Load(); n != 2 {
			t.Errorf("%d files of 1000 bytes stay of 2500 that may", n)
		}
	})
}

// held is the end of a body that waits to be let go.
type held struct{ begun, end chan struct{} }

func (b *held) Read([]byte) (int, error) {
	b.begun <- struct{}{}
	<-b.end
	return 0, io.EOF
}

// TestUploadsThatComeLater: an id is made first, and readers wait for the file.
func TestUploadsThatComeLater(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		made := ask(t, alice, http.MethodPost, "/_matrix/media/v1/create", nil)
		uri := strings.TrimPrefix(made["content_uri"].(string), "mxc://")
		if res, body := h.fetch(t, bob, "GET", newDownload+uri+"?timeout_ms=0", "", nil); res.StatusCode != 504 || !bytes.Contains(body, []byte("M_NOT_YET_UPLOADED")) {
			t.Errorf("before: %d %s", res.StatusCode, body)
		}
		got := make(chan string)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", h.url+newDownload+uri, nil)
			req.Header.Set("Authorization", "Bearer "+bob.Token)
			res, err := h.http.Do(req)
			if err != nil {
				got <- err.Error()
				return
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			got <- string(body)
		}()
		path := "/_matrix/media/v3/upload/" + uri
		if res, _ := h.fetch(t, bob, "PUT", path, "text/plain", strings.NewReader("bob's")); res.StatusCode != 403 {
			t.Errorf("somebody else uploads: %d", res.StatusCode)
		}
		if res, body := h.fetch(t, alice, "PUT", path, "text/plain", strings.NewReader("alice's")); res.StatusCode != 200 {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
		if body := <-got; body != "alice's" {
			t.Errorf("who waited gets %q", body)
		}
		if res, body := h.fetch(t, alice, "PUT", path, "text/plain", strings.NewReader("again")); res.StatusCode != 409 || !bytes.Contains(body, []byte("M_CANNOT_OVERWRITE_MEDIA")) {
			t.Errorf("again: %d %s", res.StatusCode, body)
		}
		for range 100 {
			ask(t, bob, http.MethodPost, "/_matrix/media/v1/create", nil)
		}
		refused(t, bob, http.MethodPost, "/_matrix/media/v1/create", nil, "M_LIMIT_EXCEEDED")
	})
}

// exif puts an orientation into a JPEG file.
func exif(file []byte, orientation byte) []byte {
	app1 := append([]byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0)
	segment := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(len(app1)+2))
	return append(append(append([]byte{}, file[:2]...), append(segment, app1...)...), file[2:]...)
}

func TestThumbnails(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		var asPNG, asJPEG bytes.Buffer
		if err := png.Encode(&asPNG, picture(1200, 900)); err != nil {
			t.Fatal(err)
		}
		if err := jpeg.Encode(&asJPEG, picture(1200, 900), nil); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			name    string
			file    []byte
			query   string
			w, h    int
			typ     string
			topLeft color.RGBA // roughly
		}{
			{"a picture", asPNG.Bytes(), "width=300&height=200&method=scale", 320, 240, "image/png", color.RGBA{0, 0, 90, 255}},
			{"cropped", asPNG.Bytes(), "width=90&height=90&method=crop", 96, 96, "image/png", color.RGBA{36, 0, 90, 255}},
			{"a photo", asJPEG.Bytes(), "width=640&height=480", 640, 480, "image/jpeg", color.RGBA{0, 0, 90, 255}},
			{"a photo on its side", exif(asJPEG.Bytes(), 6), "width=320&height=240", 180, 240, "image/jpeg", color.RGBA{0, 255, 90, 255}},
			{"a photo upside down", exif(asJPEG.Bytes(), 3), "width=320&height=240", 320, 240, "image/jpeg", color.RGBA{255, 255, 90, 255}},
		} {
			uri := h.upload(t, alice, "x", "image/"+tc.typ, tc.file)
			for range 2 { // made, and kept
				res, body := h.fetch(t, alice, "GET", newSmall+uri+"?"+tc.query, "", nil)
				img, _, err := image.Decode(bytes.NewReader(body))
				if err != nil || res.Header.Get("Content-Type") != tc.typ {
					t.Errorf("%s: %d %s %v", tc.name, res.StatusCode, res.Header.Get("Content-Type"), err)
					break
				}
				r, g, _, _ := img.At(1, 1).RGBA()
				near := func(a uint32, b uint8) bool { d := int(a>>8) - int(b); return d < 25 && d > -25 }
				if b := img.Bounds(); b.Dx() != tc.w || b.Dy() != tc.h || !near(r, tc.topLeft.R) || !near(g, tc.topLeft.G) {
					t.Errorf("%s: %v, corner %d %d; want %dx%d, %v", tc.name, b, r>>8, g>>8, tc.w, tc.h, tc.topLeft)
				}
			}
		}
		for kind, file := range map[string]string{ // two pixels side by side, held so that they are above each other
			"image/webp": "UklGRlIAAABXRUJQVlA4WAoAAAAIAAAAAQAAAAAAVlA4TBEAAAAvAQAAAA8Q87//8x8OMqL/AQBFWElGGgAAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA",
			"image/png":  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAAGmVYSWZNTQAqAAAACAABARIAAwAAAAEABgAAAAAAANZnS2kAAAAPSURBVHicY/jPwMDA8B8ABwAB/34IsdAAAAAASUVORK5CYII=",
		} {
			file, _ := base64.StdEncoding.DecodeString(file)
			uri := h.upload(t, alice, "x", kind, file)
			_, body := h.fetch(t, alice, "GET", newSmall+uri+"?width=32&height=32&method=scale", "", nil)
			if cfg, _, err := image.DecodeConfig(bytes.NewReader(body)); err != nil || cfg.Width != 1 || cfg.Height != 2 {
				t.Errorf("%s on its side: %d×%d, %v", kind, cfg.Width, cfg.Height, err)
			}
		}
		small := h.upload(t, alice, "x", "image/png", pngBomb(10, 10))
		if res, _ := h.fetch(t, alice, "GET", newSmall+small+"?width=32&height=32", "", nil); res.StatusCode != 200 && res.StatusCode != 400 {
			t.Errorf("a small file: %d", res.StatusCode)
		}
		bomb := h.upload(t, alice, "x", "image/png", pngBomb(50_000, 50_000))
		if res, body := h.fetch(t, alice, "GET", newSmall+bomb+"?width=32&height=32", "", nil); res.StatusCode != 413 {
			t.Errorf("a bomb: %d %s", res.StatusCode, body)
		}
		text := h.upload(t, alice, "x", "image/png", []byte("no picture"))
		if res, body := h.fetch(t, alice, "GET", newSmall+text+"?width=32&height=32", "", nil); res.StatusCode != 400 {
			t.Errorf("no picture: %d %s", res.StatusCode, body)
		}
	})
}

// pngBomb is the head of a PNG file that says it is so large.
func pngBomb(w, h uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, h), 8, 6, 0, 0, 0)
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), uint32(len(ihdr)-4))
	return binary.BigEndian.AppendUint32(append(b, ihdr...), crc32.ChecksumIEEE(ihdr))
}

func TestPagesArePreviewed(t *testing.T) {
	var pic bytes.Buffer
	if err := png.Encode(&pic, picture(40, 30)); err != nil {
		t.Fatal(err)
	}
	asked := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/page":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, `<html><head><title>Old title</title><meta property="og:title" content="Kürbis &amp; Feuer"><meta property="og:image" content="/pic.png"><meta name="description" content="Warm"></head></html>`)
		case "/pic.png":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(pic.Bytes())
		case "/album":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<title>Album</title><meta property="og:image" content="/poster">`)
		case "/poster":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(make([]byte, 10<<20+1))
		case "/away":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		default:
			w.Header().Set("Content-Type", "application/zip")
		}
	}))
	defer site.Close()
	allowed := newHouse(t, "", func(c *config.Config) {
		local := netip.MustParseAddr("127.0.0.1")
		c.Media.PreviewAllowed = []config.AddrRange{{First: local, Last: local}}
	})
	alice := allowed.user(t, "alice")
	path := "/_matrix/client/v1/media/preview_url?url=" + site.URL
	for range 2 {
		og := ask(t, alice, http.MethodGet, path+"/page", nil)
		if og["og:title"] != "Kürbis & Feuer" || og["og:description"] != "Warm" || og["og:image:width"] != 40.0 || og["matrix:image:size"] != float64(pic.Len()) {
			t.Errorf("preview: %v", og)
		}
		uri := strings.TrimPrefix(og["og:image"].(string), "mxc://")
		if _, body := allowed.fetch(t, alice, "GET", newDownload+uri, "", nil); !bytes.Equal(body, pic.Bytes()) {
			t.Errorf("the picture has %d bytes", len(body))
		}
	}
	if asked != 2 {
		t.Errorf("the site was asked %d times for two previews", asked)
	}
	if og := ask(t, alice, http.MethodGet, path+"/album", nil); og["og:title"] != "Album" || og["og:image"] != nil {
		t.Errorf("a page with a picture that is too large: %v", og)
	}
	for _, bad := range []string{site.URL + "/zip", site.URL + "/away", "http://10.0.0.1/"} {
		refused(t, alice, http.MethodGet, "/_matrix/media/v3/preview_url?url="+bad, nil, "M_NOT_FOUND")
	}
	for _, bad := range []string{"ftp://example.com/", "file:///etc/passwd", "http://user@example.com/", "nonsense"} {
		refused(t, alice, http.MethodGet, "/_matrix/media/v3/preview_url?url="+bad, nil, "M_INVALID_PARAM")
	}
	closed := newHouse(t, "", nil)
	refused(t, closed.user(t, "alice"), http.MethodGet, path+"/page", nil, "M_NOT_FOUND")
}

// TestFilesInABucket: what is uploaded comes back from S3, whole and in parts.
func TestFilesInABucket(t *testing.T) {
	b := s3test.Start(t)
	h := newHouse(t, "", func(c *config.Config) {
		c.S3 = config.S3{Endpoint: "http://" + b.Endpoint, Bucket: b.Name, Prefix: b.Prefix, AccessKey: b.AccessKey, SecretKey: b.SecretKey, Region: b.Region, PathStyle: true}
	})
	alice := h.user(t, "alice")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/_matrix/media/v3/upload?filename=a.txt", strings.NewReader("The hearth is warm."))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+alice.Token)
	req.Header.Set("Content-Type", "text/plain")
	res, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var up struct {
		URI string `json:"content_uri"`
	}
	if err := json.NewDecoder(res.Body).Decode(&up); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	for header, want := range map[string]string{"": "The hearth is warm.", "bytes=4-9": "hearth"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/_matrix/client/v1/media/download/"+strings.TrimPrefix(up.URI, "mxc://"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+alice.Token)
		if header != "" {
			req.Header.Set("Range", header)
		}
		res, err := h.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("range %q: %d %q, %v", header, res.StatusCode, got, err)
		}
	}
}

// TestGuestsBringNoFiles: uploads are not among what guests may do
// (client-server-api/#guest-access); pictures they may look at.
func TestGuestsBringNoFiles(t *testing.T) {
	h := newHouse(t, "", nil)
	guest := h.guest(t)
	for method, path := range map[string]string{
		http.MethodPost: "/_matrix/media/v3/upload",
		http.MethodPut:  "/_matrix/media/v3/upload/example.test/abc",
	} {
		refused(t, guest, method, path, map[string]string{}, "M_GUEST_ACCESS_FORBIDDEN")
	}
	refused(t, guest, http.MethodPost, "/_matrix/media/v1/create", nil, "M_GUEST_ACCESS_FORBIDDEN")
}
