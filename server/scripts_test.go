package server_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"
)

// TestScriptsWithoutTransactions: guides of many years have people send with
// curl -d '{"msgtype":"m.text", "body":"hello"}' ".../send/m.room.message?access_token=…".
// Nothing tells such requests apart, so each sends.
func TestScriptsWithoutTransactions(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		path := "/_matrix/client/r0/rooms/" + url.PathEscape(room(t, alice))
		hello := map[string]string{"msgtype": "m.text", "body": "hello"}
		first := ask(t, alice, http.MethodPost, path+"/send/m.room.message", hello)["event_id"].(string)
		if second := ask(t, alice, http.MethodPost, path+"/send/m.room.message", hello)["event_id"]; second == first {
			t.Error("the second hello was taken for the first")
		}
		ask(t, alice, http.MethodPost, path+"/redact/"+url.PathEscape(first), map[string]string{"reason": "twice"})
		if ev := ask(t, alice, http.MethodGet, path+"/event/"+url.PathEscape(first), nil); len(ev["content"].(map[string]any)) != 0 {
			t.Errorf("after the redaction: %v", ev)
		}
	})
}

// TestHealth: containers and load balancers ask Synapse at this address whether it
// is up.
func TestHealth(t *testing.T) {
	h := newHouse(t, "", nil)
	res, err := h.http.Get(h.url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(text) != "OK" {
		t.Errorf("%s %q", res.Status, text)
	}
}
