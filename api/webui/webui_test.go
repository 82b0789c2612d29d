package webui

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"rsc.io/qr"
)

func get(t *testing.T, info Info, url string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	New(info).ServeHTTP(w, r)
	return w
}

var public = Info{ServerName: "example.com", Version: "v1.2.3", BaseURL: "https://matrix.example.com", Registration: "token", Calls: true}

// text is the page without its markup.
func text(html string) string {
	html = regexp.MustCompile(`(?s)<style>.*?</style>|<svg.*?</svg>|<[^>]*>`).ReplaceAllString(html, " ")
	return strings.Join(strings.Fields(html), " ")
}

func TestWhatThePageSays(t *testing.T) {
	trial := Info{ServerName: "localhost", Version: "v1.2.3", Registration: "open", Calls: true, Trial: "./hearth"}
	elsewhere := trial
	elsewhere.TrialDir = "/srv/try"
	closed := Info{ServerName: "a.test", Registration: "closed", Federation: true}
	guests := Info{ServerName: "a.test", Registration: "open", Guests: true}
	for _, tc := range []struct {
		what     string
		info     Info
		url      string
		has, not []string
	}{
		{
			"a public server", public, "http://127.0.0.1:8008/",
			[]string{"Hearth v1.2.3 example.com", "https://matrix.example.com", "@you:example.com", "with a registration token", "relayed by this server", "Element", "Cinny", "FluffyChat", "nheko"},
			[]string{"first account", "127.0.0.1", "this machine only"},
		},
		{
			"a trial", trial, "http://localhost:8420/",
			[]string{"http://localhost:8420", "open to everybody on this machine", "The first account", "./hearth user add admin --admin", "this machine only", "not connected"},
			[]string{"everybody may make one"},
		},
		{
			"a trial elsewhere", elsewhere, "http://localhost:8420/",
			[]string{"./hearth user add admin --admin --dir /srv/try", "./hearth token create --dir /srv/try"},
			nil,
		},
		{
			"a closed server", closed, "http://a.test/",
			[]string{"made by the operator", "not relayed", "people elsewhere", "http://a.test"},
			[]string{"guests", "first account"},
		},
		{"a server with guests", guests, "http://a.test/", []string{"guests may look around"}, nil},
	} {
		w := get(t, tc.info, tc.url)
		got := text(w.Body.String())
		for _, s := range tc.has {
			if !strings.Contains(got, s) {
				t.Errorf("%s lacks %q:\n%s", tc.what, s, got)
			}
		}
		for _, s := range tc.not {
			if strings.Contains(got, s) {
				t.Errorf("%s says %q:\n%s", tc.what, s, got)
			}
		}
	}
}

func TestAddressIsTheOneThatWasCalled(t *testing.T) {
	info := Info{ServerName: "a.test"}
	if got := get(t, info, "http://chat.a.test:8008/").Body.String(); !strings.Contains(got, "http://chat.a.test:8008<") {
		t.Error("plain")
	}
	if got := get(t, info, "http://chat.a.test/", "X-Forwarded-Proto", "https").Body.String(); !strings.Contains(got, "https://chat.a.test<") {
		t.Error("behind a proxy")
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = `"><script>alert(1)</script>`
	w := httptest.NewRecorder()
	New(info).ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "<script") {
		t.Error("the Host header writes markup")
	}
}

func TestQRCode(t *testing.T) {
	svg := regexp.MustCompile(`<svg class="qr" viewBox="0 0 (\d+) .*<path d="([^"]*)"`).FindStringSubmatch(get(t, public, "/").Body.String())
	if svg == nil {
		t.Fatal("no QR code")
	}
	code, err := qr.Encode(public.BaseURL, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(svg[2], -1) {
		x, y, run := atoi(m[1]), atoi(m[2]), atoi(m[3])
		for i := range run {
			drawn[[2]int{x + i, y}] = true
		}
	}
	for y := -4; y < code.Size+4; y++ {
		for x := -4; x < code.Size+4; x++ {
			if drawn[[2]int{x + 4, y + 4}] != code.Black(x, y) {
				t.Fatalf("module %d,%d is wrong", x, y)
			}
		}
	}
	if get(t, Info{BaseURL: "https://" + strings.Repeat("a", 5000)}, "/").Code != http.StatusOK {
		t.Error("an address too long for a QR code breaks the page")
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestSecurityHeaders(t *testing.T) {
	for _, path := range []string{"/", "/nothing-here"} {
		h := get(t, public, path).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY",
			"Referrer-Policy":        "no-referrer",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s = %q", path, name, h.Get(name))
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "style-src 'sha256-"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: CSP lacks %s: %s", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("CSP is unsafe: %s", csp)
		}
	}
}

// The page must need nothing that its policy forbids.
func TestPageNeedsNothingFromOutside(t *testing.T) {
	html := get(t, public, "/").Body.String()
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(html)
	file, err := os.ReadFile("page.css")
	if err != nil || style == nil || style[1] != string(file) {
		t.Error("the style sheet on the page is not the one whose hash the policy allows")
	}
	for _, bad := range []string{"<script", "<img", "<link", " style=", " onclick=", "url(", "@import", "<form", "<iframe"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"HEAD", "/", 200},
		{"POST", "/", 405},
		{"GET", "/admin", 404},
		{"GET", "/%2e%2e/etc/passwd", 404},
	} {
		w := httptest.NewRecorder()
		New(public).ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.want {
			t.Errorf("%s %s: %d", tc.method, tc.path, w.Code)
		}
	}
}
