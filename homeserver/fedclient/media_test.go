package fedclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearth/homeserver/fedclient/fedtest"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const multi = `multipart/mixed; boundary=b`

// parted is an answer of two parts with a head of the second one.
func parted(head, content string) string {
	return "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n" + head + "\r\n" + content + "\r\n--b--\r\n"
}

// TestPeersSendFiles in all forms that there are.
func TestPeersSendFiles(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	var elsewhere *fedtest.Server
	var paths []string
	signed := 0
	s := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.RequestURI)
		if r.Header.Get("Authorization") != "" {
			signed++
		}
		switch {
		case strings.Contains(r.URL.Path, "/federation/") && strings.HasSuffix(r.URL.Path, "/new"):
			w.Header().Set("Content-Type", multi)
			fmt.Fprint(w, parted("Content-Type: text/plain\r\nContent-Disposition: attachment; filename*=UTF-8''%E2%82%AC.txt\r\n", "--bis no end\r\n--bnor this"))
		case strings.HasSuffix(r.URL.Path, "/elsewhere"):
			w.Header().Set("Content-Type", `Multipart/Mixed; boundary="b"`)
			fmt.Fprint(w, parted("Location: "+elsewhere.URL+"/file\r\n", ""))
		case strings.Contains(r.URL.Path, "/federation/"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errcode":"M_UNRECOGNIZED","error":"what?"}`)
		default:
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Disposition", `inline; filename="a b.png"`)
			fmt.Fprint(w, "old")
		}
	}))
	elsewhere = ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("another place learns who asks")
		}
		if r.URL.Path == "/file" {
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "video/mp4")
		fmt.Fprint(w, "far away")
	}))
	c := newClient(t, ca, nil)
	for id, want := range map[string]string{
		"new":       "text/plain|€.txt|--bis no end\r\n--bnor this",
		"elsewhere": "video/mp4||far away",
		"old":       "image/png|a b.png|old",
	} {
		f, err := c.Media(t.Context(), mxid.ServerName(s.Addr), id, 5*time.Second, 100)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		content, err := io.ReadAll(f.Content)
		if got := f.Type + "|" + f.Name + "|" + string(content); err != nil || got != want {
			t.Errorf("%s: %q, %v", id, got, err)
		}
		f.Content.Close()
	}
	all := strings.Join(paths, " ")
	for _, want := range []string{
		"GET /_matrix/federation/v1/media/download/old?timeout_ms=5000",
		"GET /_matrix/media/v3/download/" + url.PathEscape(s.Addr) + "/old?allow_remote=false&timeout_ms=5000",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
	if signed != 3 || c.table[mxid.ServerName(s.Addr)].busy != 0 {
		t.Errorf("%d of %d requests are signed, %d under way", signed, len(paths), c.table[mxid.ServerName(s.Addr)].busy)
	}
}

// TestPeersMisbehave: whatever a server sends ends in an error that clients
// understand, and holds nothing.
func TestPeersMisbehave(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	var answer atomic.Pointer[http.HandlerFunc]
	s := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	text := func(status int, typ, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	endless := func(typ, head string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			_, err := io.WriteString(w, head)
			for err == nil {
				_, err = w.Write(bytes.Repeat([]byte("x"), 1<<16))
			}
		}
	}
	refuse := func(status int, code string) http.HandlerFunc {
		return text(status, "application/json", `{"errcode":"`+code+`","retry_after_ms":5}`)
	}
	location := func(at string) http.HandlerFunc { return text(200, multi, parted("Location: "+at+"\r\n", "")) }
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"missing":          {refuse(404, "M_NOT_FOUND"), "404 M_NOT_FOUND"},
		"not yet there":    {refuse(504, "M_NOT_YET_UPLOADED"), "504 M_NOT_YET_UPLOADED"},
		"too large there":  {refuse(502, "M_TOO_LARGE"), "502 M_TOO_LARGE"},
		"too often":        {refuse(429, "M_LIMIT_EXCEEDED"), "429 M_LIMIT_EXCEEDED"},
		"forbidden":        {refuse(403, "M_FORBIDDEN"), "502 M_UNKNOWN"},
		"token wanted":     {refuse(401, "M_UNAUTHORIZED"), "502 M_UNKNOWN"},
		"broken":           {refuse(500, "M_UNKNOWN"), "502 M_UNKNOWN"},
		"odd codes":        {text(500, "application/json", `{"errcode":7}`), "502 M_UNKNOWN"},
		"neither old, new": {text(404, "text/html", `<html>`), "404 M_NOT_FOUND"},
		"a redirect":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "502 M_UNKNOWN"},
		"one part":         {text(200, "text/plain", "file"), "502 M_UNKNOWN"},
		"no boundary":      {text(200, "multipart/mixed", parted("", "file")), "502 M_UNKNOWN"},
		"other parts":      {text(200, "multipart/form-data; boundary=b", parted("", "file")), "502 M_UNKNOWN"},
		"no parts":         {text(200, multi, "--b--\r\n"), "502 M_UNKNOWN"},
		"nothing":          {text(200, multi, ""), "502 M_UNKNOWN"},
		"only one":         {text(200, multi, "--b\r\n\r\n{}\r\n--b--\r\n"), "502 M_UNKNOWN"},
		"half":             {text(200, multi, "--b\r\n\r\n{}\r\n--b\r\n\r\nthe fi"), "502 M_UNKNOWN"},
		"half of a whole": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", multi)
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, parted("", "file")[:60])
		}, "502 M_UNKNOWN"},
		"a long first part":     {endless(multi, "--b\r\n\r\n"), "502 M_TOO_LARGE"},
		"a long head":           {endless(multi, "--b\r\n\r\n{}\r\n--b\r\nX: "), "502 M_TOO_LARGE"},
		"no first boundary":     {endless(multi, ""), "502 M_UNKNOWN"},
		"an endless file":       {endless(multi, "--b\r\n\r\n{}\r\n--b\r\n\r\n"), "502 M_TOO_LARGE"},
		"a byte too much":       {text(200, multi, parted("", strings.Repeat("x", 101))), "502 M_TOO_LARGE"},
		"a private place":       {location("https://10.0.0.1/"), "502 M_UNKNOWN"},
		"this machine":          {location("https://[::1]/"), "502 M_UNKNOWN"},
		"a place without TLS":   {location("http://127.0.0.1/"), "502 M_UNKNOWN"},
		"no place":              {location("/file"), "502 M_UNKNOWN"},
		"a file of the machine": {location("file:///etc/passwd"), "502 M_UNKNOWN"},
		"a place with a user":   {location("https://u:p@example.test/"), "502 M_UNKNOWN"},
		"a place that is not":   {location("https://" + s.Addr), "502 M_UNKNOWN"}, // answers in parts, but not 200 below
		"a place that goes round": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/", http.StatusFound)
				return
			}
			location("https://"+s.Addr+"/")(w, r)
		}, "502 M_UNKNOWN"},
		"an endless refusal": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endless("text/plain", "")(w, nil)
		}, "502 M_UNKNOWN"},
		"huge headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, "502 M_UNKNOWN"},
	} {
		c := newClient(t, ca, nil)
		if name == "a place that is not" {
			inner := tc.answer
			tc.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" || r.URL.Path == "" {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				inner(w, r)
			}
		}
		answer.Store(&tc.answer)
		f, err := c.Media(t.Context(), mxid.ServerName(s.Addr), "id", 0, 100)
		if err == nil {
			_, err = io.Copy(io.Discard, f.Content)
			f.Content.Close()
		}
		e, shown := errors.AsType[*mxerr.Error](err)
		if !shown || fmt.Sprintf("%d %s", e.HTTPStatus(), e.Code) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
		if n := c.table[mxid.ServerName(s.Addr)].busy; n != 0 {
			t.Errorf("%s: %d requests are under way", name, n)
		}
		c.Close()
	}
	exact := text(200, multi, parted("", strings.Repeat("x", 100)))
	answer.Store(&exact)
	c := newClient(t, ca, nil)
	f, err := c.Media(t.Context(), mxid.ServerName(s.Addr), "id", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, f.Content); n != 100 || err != nil {
		t.Errorf("a file that just fits: %d bytes, %v", n, err)
	}
	f.Content.Close()
}

// TestDownloadsMustKeepComing: one that drips, or stops, is given up.
func TestDownloadsMustKeepComing(t *testing.T) {
	for name, tc := range map[string]struct {
		every time.Duration
		bytes int
		whole bool
	}{
		"drips":             {time.Second, 1, false},
		"stops":             {time.Hour, 1 << 20, false},
		"as slow as it may": {time.Second, slowestBytes, true},
		"is slow, but ends": {12 * time.Second, 400 << 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				var writer sync.WaitGroup
				defer writer.Wait()
				writer.Go(func() {
					for sent := 0; sent < 4<<20; sent += tc.bytes {
						if _, err := w.Write(make([]byte, tc.bytes)); err != nil {
							return
						}
						time.Sleep(tc.every)
					}
					w.Close()
				})
				start := time.Now()
				in := newSteady(r, 8<<20)
				n, err := io.Copy(io.Discard, in)
				if tc.whole != (err == nil) || !tc.whole && !errors.Is(err, errSlow) {
					t.Errorf("%d bytes, %v", n, err)
				}
				if took := time.Since(start); !tc.whole && took > 2*patience+time.Minute {
					t.Errorf("it is given up after %v", took)
				}
				in.Close()
			})
		})
	}
}
