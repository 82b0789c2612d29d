package server_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"hearth/base/config"
	"hearth/e2e"
	"hearth/homeserver/rendezvous"
)

const (
	msc4108 = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
	msc4388 = "/_matrix/client/unstable/io.element.msc4388/rendezvous"
)

// note makes a request with a text, as clients of 2024 do.
func note(t *testing.T, h *house, method, at string, header map[string]string, text string) (status int, head http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := h.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(said)
}

// TestDevicesMeetByETag: MSC4108 as it was in 2024.
func TestDevicesMeetByETag(t *testing.T) {
	h := newHouse(t, "", nil)
	status, head, body := note(t, h, http.MethodPost, h.url+msc4108, nil, "hello")
	at := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(body), `{"url":"`), `"}`)
	first := head.Get("ETag")
	if status != http.StatusCreated || !strings.HasPrefix(at, h.url+msc4108+"/") || first == "" || head.Get("Expires") == "" || head.Get("Last-Modified") == "" {
		t.Fatalf("create: %d %q %v", status, body, head)
	}
	if head.Get("Cache-Control") != "no-store" || !strings.Contains(head.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("caches and browsers are told %v", head)
	}
	if status, head, body = note(t, h, http.MethodGet, at, nil, ""); status != 200 || body != "hello" || head.Get("ETag") != first || head.Get("Content-Type") != "text/plain" {
		t.Errorf("read: %d %q %v", status, body, head)
	}
	if status, _, body = note(t, h, http.MethodGet, at, map[string]string{"If-None-Match": first}, ""); status != http.StatusNotModified || body != "" {
		t.Errorf("read what is known: %d %q", status, body)
	}
	status, head, _ = note(t, h, http.MethodPut, at, map[string]string{"If-Match": first}, "answer")
	if status != http.StatusAccepted || head.Get("ETag") == first {
		t.Fatalf("write: %d %v", status, head)
	}
	if status, _, body = note(t, h, http.MethodPut, at, map[string]string{"If-Match": first}, "late"); status != http.StatusPreconditionFailed || !strings.Contains(body, `"org.matrix.msc4108.errcode":"M_CONCURRENT_WRITE"`) {
		t.Errorf("write without having read: %d %s", status, body)
	}
	if status, _, body = note(t, h, http.MethodPut, at, nil, "blind"); status != http.StatusBadRequest {
		t.Errorf("write without If-Match: %d %s", status, body)
	}
	if status, _, body = note(t, h, http.MethodGet, at, map[string]string{"If-None-Match": first}, ""); status != 200 || body != "answer" {
		t.Errorf("read the answer: %d %q", status, body)
	}
	if status, _, _ = note(t, h, http.MethodPut, at, map[string]string{"If-Match": head.Get("ETag")}, strings.Repeat("x", rendezvous.MaxData+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a long text: %d", status)
	}
	if status, _, _ = note(t, h, http.MethodPost, h.url+msc4108, map[string]string{"Content-Type": "text/html"}, "<b>"); status != http.StatusBadRequest {
		t.Errorf("a web page: %d", status)
	}
	if status, _, _ = note(t, h, http.MethodGet, at, map[string]string{"Sec-Fetch-Mode": "navigate"}, ""); status != http.StatusForbidden {
		t.Errorf("a person looks: %d", status)
	}
	if status, _, _ = note(t, h, http.MethodDelete, at, nil, ""); status != http.StatusNoContent {
		t.Errorf("end: %d", status)
	}
	if status, _, _ = note(t, h, http.MethodGet, at, nil, ""); status != http.StatusNotFound {
		t.Errorf("after the end: %d", status)
	}
	w := httptest.NewRecorder()
	h.server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodOptions, "/"+strings.TrimPrefix(at, h.url+"/"), nil))
	if allowed := w.Header().Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, "If-Match") || !strings.Contains(allowed, "If-None-Match") {
		t.Errorf("browsers may send %q", allowed)
	}
	if on := features(t, h); !on["org.matrix.msc4108"] {
		t.Error("clients are not told that devices can meet here")
	}
}

func features(t *testing.T, h *house) map[string]bool {
	t.Helper()
	var res struct {
		Features map[string]bool `json:"unstable_features"`
	}
	if err := e2e.NewClient(h.url, h.http).Do(t.Context(), http.MethodGet, "/_matrix/client/versions", nil, &res); err != nil {
		t.Fatal(err)
	}
	return res.Features
}

type meeting struct {
	ID      string `json:"id"`
	Data    string `json:"data"`
	Token   string `json:"sequence_token"`
	Expires int64  `json:"expires_in_ms"`
}

// TestDevicesMeetByToken: MSC4388.
func TestDevicesMeetByToken(t *testing.T) {
	h := newHouse(t, "", nil)
	phone, laptop := e2e.NewClient(h.url, h.http), h.user(t, "anna")
	var found struct {
		Create bool `json:"create_available"`
	}
	if err := phone.Do(t.Context(), http.MethodGet, msc4388, nil, &found); err != nil || !found.Create {
		t.Fatalf("discovery: %v, %v", found, err)
	}
	var made, read, wrote meeting
	if err := laptop.Do(t.Context(), http.MethodPost, msc4388, map[string]string{"data": "hello"}, &made); err != nil || made.Token == "" || made.Expires <= 0 || made.Expires > rendezvous.Life.Milliseconds() {
		t.Fatalf("create: %+v, %v", made, err)
	}
	at := msc4388 + "/" + url.PathEscape(made.ID)
	if err := phone.Do(t.Context(), http.MethodGet, at, nil, &read); err != nil || read.Data != "hello" || read.Token != made.Token || read.Expires <= 0 {
		t.Fatalf("read: %+v, %v", read, err)
	}
	answer := map[string]string{"data": "answer", "sequence_token": read.Token}
	if err := phone.Do(t.Context(), http.MethodPut, at, answer, &wrote); err != nil || wrote.Token == read.Token {
		t.Fatalf("write: %+v, %v", wrote, err)
	}
	var again meeting
	if err := phone.Do(t.Context(), http.MethodPut, at, answer, &again); err != nil || again.Token != wrote.Token {
		t.Errorf("the same request again: %+v, %v", again, err)
	}
	if err := laptop.Do(t.Context(), http.MethodPut, at, map[string]string{"data": "late", "sequence_token": made.Token}, nil); refusedWith(err) != http.StatusConflict {
		t.Errorf("write without having read: %v", err)
	}
	if err := laptop.Do(t.Context(), http.MethodPut, at, map[string]string{"data": strings.Repeat("x", rendezvous.MaxData+1), "sequence_token": wrote.Token}, nil); refusedWith(err) != http.StatusRequestEntityTooLarge {
		t.Errorf("a long text: %v", err)
	}
	if err := laptop.Do(t.Context(), http.MethodPost, msc4388, struct{}{}, nil); refusedWith(err) != http.StatusBadRequest {
		t.Errorf("nothing to say: %v", err)
	}
	if err := phone.Do(t.Context(), http.MethodDelete, at, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := laptop.Do(t.Context(), http.MethodGet, at, nil, nil); refusedWith(err) != http.StatusNotFound {
		t.Errorf("after the end: %v", err)
	}
}

func TestNobodyMeetsWhereItIsOff(t *testing.T) {
	h := newHouse(t, "", func(c *config.Config) { c.Login.Rendezvous = false })
	if err := e2e.NewClient(h.url, h.http).Do(t.Context(), http.MethodGet, msc4388, nil, nil); refusedWith(err) != http.StatusNotFound {
		t.Errorf("discovery: %v", err)
	}
	if features(t, h)["org.matrix.msc4108"] {
		t.Error("clients are told that devices can meet here")
	}
}

// TestStrangersMeetOnlySoOften: each address may begin 20 sessions at once.
func TestStrangersMeetOnlySoOften(t *testing.T) {
	h := newHouse(t, "", func(c *config.Config) { c.Limits.Enabled = true })
	stranger := e2e.NewClient(h.url, h.http)
	for range 50 {
		err := stranger.Do(t.Context(), http.MethodPost, msc4388, map[string]string{"data": ""}, nil)
		if refusedWith(err) == http.StatusTooManyRequests {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("a stranger began 50 sessions at once")
}

// refusedWith is the status of a refusal, 0 for none.
func refusedWith(err error) int {
	if refusal, ok := errors.AsType[*e2e.StatusError](err); ok {
		return refusal.Status
	}
	return 0
}
