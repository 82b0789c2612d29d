package sms

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestTextArrives although the gateway is busy at first.
func TestTextArrives(t *testing.T) {
	got := make(chan message, 1)
	n := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%v, %v", err, r.Header)
		}
		got <- m
	}))
	defer web.Close()
	g := New(Config{URL: web.URL, Token: "secret", Pause: time.Millisecond})
	g.Start(t.Context())
	defer g.Stop()
	if err := g.Post("+441632960000", "123456"); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-got:
		if m != (message{"+441632960000", "123456"}) {
			t.Errorf("got %+v", m)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no text came")
	}
}

func TestQueueIsFull(t *testing.T) {
	g := New(Config{URL: "http://127.0.0.1:1"})
	for range maxWaiting {
		if err := g.Post("+1", ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Post("+1", ""); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	g.Stop()
}
