package server_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"hearth/api/httpx"
	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/base/netguard"
	"hearth/homeserver/fedclient"
	"hearth/homeserver/fedclient/fedtest"
	"hearth/matrix/mxid"
)

// towns are servers that speak with each other.
type towns struct {
	ca *fedtest.Authority
}

// loopback is this machine, at which other servers are in tests.
func loopbackRange() []config.AddrRange {
	local := netip.MustParseAddr("127.0.0.1")
	return []config.AddrRange{{First: local, Last: local}}
}

// house starts a server that speaks with the others. Its name is an address with a
// port.
func (w *towns) house(t *testing.T, database string, change func(*config.Config)) *house {
	t.Helper()
	front := w.ca.Serve(t, nil)
	h := newHouse(t, database, func(c *config.Config) {
		c.ServerName = front.Addr
		c.Federation = config.Federation{Enabled: true, AllowedAddresses: loopbackRange(), CA: w.ca.File(t)}
		if change != nil {
			change(c)
		}
	})
	front.Config.Handler = h.server.Handler()
	front.EnableHTTP2 = true
	front.StartTLS()
	return h
}

// twoTowns runs f with two servers, on both databases.
func twoTowns(t *testing.T, f func(t *testing.T, here, there *house)) {
	t.Run("sqlite", func(t *testing.T) {
		w := towns{fedtest.NewAuthority(t)}
		f(t, w.house(t, "", nil), w.house(t, "", nil))
	})
	t.Run("postgres", func(t *testing.T) {
		w := towns{fedtest.NewAuthority(t)}
		f(t, w.house(t, dbtest.Postgres(t), nil), w.house(t, dbtest.Postgres(t), nil))
	})
}

// TestFilesOfOtherServers: alice sees on her server what bob uploaded on his.
func TestFilesOfOtherServers(t *testing.T) {
	twoTowns(t, func(t *testing.T, here, there *house) {
		alice, bob := here.user(t, "alice"), there.user(t, "bob")
		var pic bytes.Buffer
		if err := png.Encode(&pic, picture(1200, 900)); err != nil {
			t.Fatal(err)
		}
		uri := there.upload(t, bob, "fire.png", "image/png", pic.Bytes())
		if res, body := here.fetch(t, alice, "GET", newDownload+uri+"?allow_remote=false", "", nil); res.StatusCode != 404 {
			t.Errorf("alice wants only what is here: %d %s", res.StatusCode, body)
		}
		for _, path := range []string{newDownload + uri, oldDownload + uri, newDownload + uri + "?allow_remote=false"} {
			res, body := here.fetch(t, alice, "GET", path, "", nil)
			if res.StatusCode != 200 || !bytes.Equal(body, pic.Bytes()) {
				t.Fatalf("%s: %d %.200s", path, res.StatusCode, body)
			}
			if h := res.Header; h.Get("Content-Type") != "image/png" || h.Get("Content-Disposition") != "inline; filename=fire.png" {
				t.Errorf("%s: %v", path, h)
			}
		}
		res, body := here.fetch(t, alice, "GET", newSmall+uri+"?width=300&height=200", "", nil)
		img, _, err := image.Decode(bytes.NewReader(body))
		if err != nil || img.Bounds().Dx() != 320 || res.StatusCode != 200 {
			t.Errorf("a thumbnail: %d %v", res.StatusCode, err)
		}
		page := there.upload(t, bob, "evil.html", "text/html", []byte("<script>alert(1)</script>"))
		res, _ = here.fetch(t, alice, "GET", newDownload+page, "", nil)
		if d := res.Header.Get("Content-Disposition"); d != "attachment; filename=evil.html" || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "sandbox;") {
			t.Errorf("a page of another server: %v", res.Header)
		}
		server, _, _ := strings.Cut(uri, "/")
		for path, want := range map[string]string{
			newDownload + server + "/nothing":                          "404 M_NOT_FOUND",
			newDownload + server + "/a%2Fb":                            "404 M_NOT_FOUND",
			newDownload + "-bad-name-/nothing":                         "502 M_UNKNOWN",
			newDownload + "10.1.2.3/nothing":                           "502 M_UNKNOWN", // never private addresses
			newSmall + server + "/nothing?width=30&height=30":          "404 M_NOT_FOUND",
			newSmall + page + "?width=30&height=30":                    "400 M_UNKNOWN",
			newDownload + "bad%2Fname/nothing":                         "404 M_NOT_FOUND",
			"/_matrix/federation/v1/media/download/nothing":            "401 M_UNAUTHORIZED",
			"/_matrix/federation/v1/media/thumbnail/x?width=1":         "401 M_UNAUTHORIZED",
			"/_matrix/federation/v1/media/download/nothing?timeout_ms": "401 M_UNAUTHORIZED",
		} {
			res, body := here.fetch(t, alice, "GET", path, "", nil)
			status, code, _ := strings.Cut(want, " ")
			if !strings.HasPrefix(res.Status, status) || !bytes.Contains(body, []byte(`"`+code+`"`)) {
				t.Errorf("%s: %s %s, want %s", path, res.Status, body, want)
			}
		}
	})
}

// TestFilesThatComeLaterElsewhere: alice waits for what bob is about to upload.
func TestFilesThatComeLaterElsewhere(t *testing.T) {
	twoTowns(t, func(t *testing.T, here, there *house) {
		alice, bob := here.user(t, "alice"), there.user(t, "bob")
		uri := strings.TrimPrefix(ask(t, bob, http.MethodPost, "/_matrix/media/v1/create", nil)["content_uri"].(string), "mxc://")
		if res, body := here.fetch(t, alice, "GET", newDownload+uri+"?timeout_ms=0", "", nil); res.StatusCode != 504 || !bytes.Contains(body, []byte("M_NOT_YET_UPLOADED")) {
			t.Errorf("before: %d %s", res.StatusCode, body)
		}
		got := make(chan string)
		go func() {
			_, body := here.fetch(t, alice, "GET", newDownload+uri, "", nil)
			got <- string(body)
		}()
		there.fetch(t, bob, "PUT", "/_matrix/media/v3/upload/"+uri, "text/plain", strings.NewReader("at last"))
		if body := <-got; body != "at last" {
			t.Errorf("who waited gets %q", body)
		}
	})
}

// TestAloneNobodyIsAsked: a server that speaks with no others says so, and other
// servers find no door.
func TestAloneNobodyIsAsked(t *testing.T) {
	h := newHouse(t, "", func(c *config.Config) { c.Federation.AllowedAddresses = loopbackRange() })
	asked := false
	other := fedtest.NewAuthority(t).Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	alice := h.user(t, "alice")
	for path, want := range map[string]string{
		newDownload + other.Addr + "/a":                 "M_NOT_FOUND",
		newSmall + other.Addr + "/a?width=30&height=30": "M_NOT_FOUND",
		"/_matrix/federation/v1/media/download/a":       "M_UNRECOGNIZED",
		"/_matrix/federation/v1/version":                "M_UNRECOGNIZED",
		"/_matrix/key/v2/server":                        "M_UNRECOGNIZED",
	} {
		refused(t, alice, http.MethodGet, path, nil, want)
	}
	if asked {
		t.Error("the other server was asked")
	}
}

// stranger is another homeserver, of which there is only what asks.
func (w *towns) stranger(t *testing.T) *fedclient.Client {
	t.Helper()
	var c *fedclient.Client
	front := w.ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		own, err := c.OwnKeys()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(own)
	}))
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	c = fedclient.New(fedclient.Config{
		Server: mxid.ServerName(front.Addr), KeyID: "ed25519:s", Key: key, Allowed: netguard.Ranges{{From: local, To: local}}, Roots: w.ca.Roots,
	})
	t.Cleanup(c.Close)
	return c
}

// TestOtherServersAtTheDoor: a server that signs gets files and small pictures,
// one that does not gets nothing, and odd requests get Matrix errors.
func TestOtherServersAtTheDoor(t *testing.T) {
	w := towns{fedtest.NewAuthority(t)}
	h := w.house(t, "", nil)
	bob, peer := h.user(t, "bob"), w.stranger(t)
	var pic bytes.Buffer
	if err := png.Encode(&pic, picture(1200, 900)); err != nil {
		t.Fatal(err)
	}
	name, id, _ := strings.Cut(h.upload(t, bob, "ä.png", "image/png", pic.Bytes()), "/")
	ask := func(path string) (*http.Response, error) {
		return peer.Do(t.Context(), fedclient.Request{To: mxid.ServerName(name), Path: path})
	}
	const v1 = "/_matrix/federation/v1"
	for path, width := range map[string]int{"/media/download/" + id: 1200, "/media/thumbnail/" + id + "?width=90&height=90&method=crop": 96} {
		res, err := ask(v1 + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		parts := multipart.NewReader(res.Body, params["boundary"])
		about, err := parts.NextPart()
		if err != nil || about.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %v %v", path, about, err)
		}
		file, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		img, _, err := image.Decode(file)
		if err != nil || img.Bounds().Dx() != width || file.Header.Get("Content-Type") != "image/png" || res.ContentLength < 0 {
			t.Errorf("%s: %v %v, %d bytes", path, err, file.Header, res.ContentLength)
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("%s: a third part: %v", path, err)
		}
	}
	for path, want := range map[string]string{
		"/media/download/" + strings.Repeat("x", 5000):          "404 M_NOT_FOUND",
		"/media/download/%00":                                   "404 M_NOT_FOUND",
		"/media/download/a%2Fb":                                 "404 M_NOT_FOUND",
		"/media/download/" + id + "?timeout_ms=-1":              "400 M_INVALID_PARAM",
		"/media/thumbnail/" + id:                                "400 M_MISSING_PARAM",
		"/media/thumbnail/" + id + "?width=a&height=1":          "400 M_INVALID_PARAM",
		"/media/thumbnail/" + id + "?width=1&height=1&method":   "200",
		"/media/thumbnail/" + id + "?width=1&height=1&method=x": "400 M_INVALID_PARAM",
		"/media/nothing":                                        "404 M_UNRECOGNIZED",
	} {
		res, err := ask(v1 + path)
		got := "200"
		if refused, ok := errors.AsType[*fedclient.RefusalError](err); ok {
			got = fmt.Sprintf("%d %s", refused.Status, refused.Code)
		} else if err != nil {
			got = err.Error()
		} else {
			res.Body.Close()
		}
		if got != want {
			t.Errorf("%.80s: %s, want %s", path, got, want)
		}
	}
	for _, route := range h.server.Routes() {
		if route.Auth != httpx.Peer {
			continue
		}
		method, path, _ := strings.Cut(route.Patterns()[0], " ")
		path = strings.ReplaceAll(path, "{mediaId}", id) + "?width=9&height=9"
		for _, header := range []string{"", "Bearer " + bob.Token, "X-Matrix", "X-Matrix origin=a", `X-Matrix origin="` + name + `",key="ed25519:a",sig="x"`, `X-Matrix origin="10.0.0.1",key="ed25519:a",sig="x"`, "X-Matrix " + strings.Repeat(`a="\\`, 1000)} {
			res, body := h.fetch(t, nil, method, path, "", nil, "Authorization", header)
			if res.StatusCode != 401 || !bytes.Contains(body, []byte("M_UNAUTHORIZED")) {
				t.Errorf("%s with %.80q: %d %s", path, header, res.StatusCode, body)
			}
		}
	}
}

// TestOperatorSeesOtherServers: which ones there are, and which do not answer.
func TestOperatorSeesOtherServers(t *testing.T) {
	twoTowns(t, func(t *testing.T, here, there *house) {
		root, alice, bob := here.operatorOf(t), here.user(t, "alice"), there.user(t, "bob")
		uri := there.upload(t, bob, "a", "text/plain", []byte("a"))
		server, _, _ := strings.Cut(uri, "/")
		for _, path := range []string{uri, "127.0.0.1:1/a"} { // nobody is at that port
			here.fetch(t, alice, "GET", newDownload+path, "", nil)
		}
		const path = admin + "/federation/destinations"
		res := ask(t, root, "GET", path, nil)
		list := res["destinations"].([]any)
		if res["total"] != 2.0 || len(list) != 2 {
			t.Fatalf("%v", res)
		}
		hasKeys(t, "a destination", list[0], "destination failure_ts last_successful_stream_ordering retry_interval retry_last_ts")
		if first, last := list[0].(map[string]any), list[1].(map[string]any); first["destination"] != "127.0.0.1:1" || first["failure_ts"] == nil || first["retry_interval"] == 0.0 ||
			last["destination"] != server || last["failure_ts"] != nil || last["retry_last_ts"] != 0.0 {
			t.Errorf("%v", list)
		}
		page := ask(t, root, "GET", path+"?limit=1&dir=b&order_by=destination", nil)
		if page["next_token"] != "1" || page["total"] != 2.0 || len(page["destinations"].([]any)) != 1 {
			t.Errorf("a page: %v", page)
		}
		if found := ask(t, root, "GET", path+"?destination=127.0.0.1:1&from=0", nil); found["total"] == 0.0 {
			t.Errorf("a part of the name: %v", found)
		}
		hasKeys(t, "rooms", ask(t, root, "GET", path+"/"+server+"/rooms", nil), "rooms total")
		ask(t, root, "POST", path+"/127.0.0.1:1/reset_connection", struct{}{})
		if again := ask(t, root, "GET", path+"/127.0.0.1:1", nil); again["failure_ts"] != nil {
			t.Errorf("after the reset: %v", again)
		}
		refused(t, root, "POST", path+"/127.0.0.1:1/reset_connection", struct{}{}, "M_UNKNOWN")
		refused(t, root, "GET", path+"/unknown.test", nil, "M_NOT_FOUND")
		refused(t, root, "GET", path+"?order_by=colour", nil, "M_INVALID_PARAM")
		refused(t, root, "GET", path+"?dir=x", nil, "M_INVALID_PARAM")
	})
}
