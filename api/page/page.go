// Package page writes the small web pages on which people do what their client
// cannot: log in, agree to terms, confirm a mail address. They work without
// scripts, but for those that the specification wants, and hold nothing from
// elsewhere, but for captchas.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed *.html *.css *.js
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// Static is where assets are served.
const Static = "/_matrix/static/"

// Write answers with a page: one of the embedded templates, by its name without
// ".html". Forms may lead to this server and to the given origins
// ("https://app.example.org").
func Write(w http.ResponseWriter, name string, data any, leadsTo ...string) {
	write(w, name, data, policy+strings.TrimSpace("; script-src 'self'; form-action 'self' "+strings.Join(leadsTo, " ")))
}

// WriteCaptcha answers with the one page that holds something from elsewhere: what
// Google says reCAPTCHA needs (https://developers.google.com/recaptcha/docs/faq).
func WriteCaptcha(w http.ResponseWriter, data Captcha) {
	write(w, "captcha", data, policy+"; form-action 'self'; script-src 'self' https://www.recaptcha.net/recaptcha/ https://www.gstatic.com/recaptcha/; frame-src https://www.recaptcha.net/recaptcha/")
}

// policy is what all pages have in common.
const policy = "default-src 'none'; style-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

func write(w http.ResponseWriter, name string, data any, policy string) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name+".html", data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // addresses of these pages hold secrets
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // the visitor may have left
}

// Asset serves the style or a script of the pages.
func Asset(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeFileFS(w, r, files, name)
	})
}
