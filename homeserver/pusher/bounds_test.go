package pusher_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"hearth/base/store"
	"hearth/homeserver/pusher"
	"hearth/matrix/mxerr"
)

func bigInt(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// TestPushersAreBounded: nobody can have a thousand phones.
func TestPushersAreBounded(t *testing.T) {
	each(t, func(h *house) {
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = h.engine.Set(h.Context(), store.Pusher{
				User: bob, App: "a", Key: fmt.Sprint(i), Kind: pusher.HTTP, AppName: "a", DeviceName: "b", Lang: "en",
				Data: []byte(`{"url":"https://example.org/_matrix/push/v1/notify"}`),
			}, true)
		}
		if mxerr.From(err).Code != mxerr.InvalidParam {
			h.Errorf("got %v", err)
		}
	})
}

// TestGatewaysAreSomewhereElse: pushers do not lead to strange places.
func TestGatewaysAreSomewhereElse(t *testing.T) {
	each(t, func(h *house) {
		for _, url := range []string{"", "ftp://example.org/_matrix/push/v1/notify", "https://example.org/", "https://u:p@example.org/_matrix/push/v1/notify", "://"} {
			err := h.engine.Set(h.Context(), store.Pusher{
				User: bob, App: "a", Key: "k", Kind: pusher.HTTP, AppName: "a", DeviceName: "b", Lang: "en", Data: fmt.Appendf(nil, `{"url":%q}`, url),
			}, true)
			if c := mxerr.From(err).Code; c != mxerr.InvalidParam && c != mxerr.MissingParam {
				h.Errorf("%q: got %v", url, err)
			}
		}
	})
}

// TestLongMessages: what is too long for gateways comes without its content.
func TestLongMessages(t *testing.T) {
	each(t, func(h *house) {
		g := newGateway(h, fine)
		h.phone(g.URL, "")
		id := h.say(strings.Repeat("x", 32<<10))
		if n := g.wait(h); n["event_id"] != id || n["content"] != nil || n["sender"] != alice {
			h.Errorf("got %.200v", n)
		}
		id = h.say(strings.Repeat("x", 31<<10))
		if n := g.wait(h); n["event_id"] != id || n["content"] == nil {
			h.Errorf("got %.200v", n)
		}
	})
}

// TestSlowGateways: only so many requests are under way at a time, and all who
// wait get theirs.
func TestSlowGateways(t *testing.T) {
	each(t, func(h *house) {
		h.engine.Stop()
		h.sending = 3
		h.start()
		var under, most atomic.Int64
		full, slow := make(chan struct{}, 100), make(chan struct{})
		g := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			full <- struct{}{}
			<-slow
			under.Add(-1)
		}))
		defer g.Close()
		const phones = 10
		for i := range phones {
			p := store.Pusher{
				User: bob, App: "a", Key: fmt.Sprint(i), Kind: pusher.HTTP, AppName: "a", DeviceName: "b", Lang: "en",
				Data: fmt.Appendf(nil, `{"url":%q}`, g.URL+"/_matrix/push/v1/notify"),
			}
			if err := h.engine.Set(h.Context(), p, true); err != nil {
				h.Fatal(err)
			}
		}
		h.say("soup")
		for range h.sending {
			<-full
		}
		close(slow)
		for range phones - h.sending {
			<-full
		}
		if n := most.Load(); n > int64(h.sending) {
			h.Errorf("%d requests were under way", n)
		}
	})
}

// TestGatewayTalksTooMuch: no more of an answer is read than it can mean, and it
// still says that the notification was taken. Headers without end are a failure,
// after which the phone hears all the same.
func TestGatewayTalksTooMuch(t *testing.T) {
	each(t, func(h *house) {
		got := make(chan string, 100)
		long := strings.Repeat("x", 1<<20)
		var n atomic.Int64
		g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				Notification struct {
					ID string `json:"event_id"`
				}
			}
			_ = json.NewDecoder(r.Body).Decode(&body)
			switch n.Add(1) {
			case 1:
				fmt.Fprintf(w, `{"x":%q,"rejected":["bobs-phone"]}`, long)
			case 2:
				w.Header().Set("X-Long", long)
			}
			got <- body.Notification.ID
		}))
		defer g.Close()
		h.phone(g.URL, "event_id_only")
		first := h.say("one")
		if id := <-got; id != first {
			h.Errorf("got %s", id)
		}
		second := h.say("two")
		for i := range 2 {
			if id := <-got; id != second {
				h.Errorf("attempt %d: got %s, want %s", i, id, second)
			}
		}
	})
}
