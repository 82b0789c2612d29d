// Package webui is the page at "/": what runs here, and how to use it. It is one
// template without scripts or outside files, so it needs no build and works when
// nothing else does.
//
// It knows nothing that a visitor may not know, and asks no engine: everything
// on the page comes from Info.
package webui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// Info is what the page says.
type Info struct {
	ServerName   string // "example.com"
	Version      string // of Hearth
	BaseURL      string // what people type as homeserver: "https://matrix.example.com"; "" means as the page was called
	Registration string // "closed", "token" or "open"
	Guests       bool   // may look around without an account
	Calls        bool   // relayed by this server
	Federation   bool   // speaks with other servers
	Trial        string // how the operator calls hearth in a trial ("./hearth"); "" means no trial
	TrialDir     string // the --dir that this needs; "" if it does without
}

//go:embed page.html
var pageText string

//go:embed page.css
var css string

var page = template.Must(template.New("page").Parse(pageText))

// client is one program that people can use.
type client struct {
	Name, URL string
	Where     string // what it runs on
	How       string // where the homeserver is typed
}

// clients that sign in with a password and speak the API that this server has.
var clients = []client{
	{"Element", "https://element.io/download", "Web, Windows, macOS, Linux", "On the welcome screen choose “Edit” beside the homeserver and type the address."},
	{"Cinny", "https://cinny.in", "Web, Windows, macOS, Linux", "Type the address into the homeserver field above the form."},
	{"FluffyChat", "https://fluffychat.im", "Android, iOS, Web, Linux", "Choose to sign in, and type the address into the search field for servers."},
	{"nheko", "https://nheko-reborn.github.io", "Linux, Windows, macOS", "Type your whole user name; the address goes into the homeserver field below it."},
	{"Fractal", "https://apps.gnome.org/Fractal/", "Linux", "Type the address into the first field. It signs in to accounts made elsewhere."},
}

// view is Info with what follows from it.
type view struct {
	Info
	URL     string
	QR      template.HTML // an svg element made here
	CSS     template.CSS  // page.css
	Clients []client
	Example string // a user id of this server
	Private bool   // the address works on this machine only
}

// New returns the page's handler. It serves GET and HEAD of "/" and nothing else.
func New(info Info) http.Handler {
	policy := contentPolicy(css)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), policy)
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		var b bytes.Buffer
		if err := page.Execute(&b, viewOf(info, r)); err != nil {
			http.Error(w, "the page could not be made", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
		_, _ = w.Write(b.Bytes()) // the visitor may have left
	})
}

func viewOf(info Info, r *http.Request) view {
	base := info.BaseURL
	if base == "" {
		base = calledAs(r)
	}
	return view{
		Info: info, URL: base, QR: qrSVG(base), CSS: template.CSS(css), Clients: clients,
		Example: "@you:" + info.ServerName, Private: onlyHere(base),
	}
}

// calledAs is the address that the visitor's browser used. Proxies say https in
// X-Forwarded-Proto; a lie there changes nobody's page but the liar's.
func calledAs(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// onlyHere reports whether the address means the visitor's own machine, so that
// the QR code would lead a phone to itself.
func onlyHere(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

// contentPolicy allows the one style sheet, by its hash, and nothing else.
func contentPolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func secure(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-cache")
}

// qrSVG draws text as a QR code: one path of unit squares on white, with the
// four modules of quiet zone that readers need.
func qrSVG(text string) template.HTML {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "" // too long for a QR code; the address stands beside it
	}
	const quiet = 4
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	side := code.Size + 2*quiet
	// Only numbers are written into the markup, never text.
	return template.HTML(fmt.Sprintf(
		`<svg class="qr" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="QR code of the homeserver address" shape-rendering="crispEdges">`+
			`<rect width="%[1]d" height="%[1]d" fill="#fff"/><path d="%[2]s" fill="#000"/></svg>`, side, path.String()))
}
