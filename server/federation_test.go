package server_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/base/db/dbtest"
	"hearth/homeserver/fedclient/fedtest"
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
