package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"hearth/e2e"
)

// mail is so much of the answers as tells messages to the device.
type mail struct {
	Next     string `json:"next_batch"`
	ToDevice events `json:"to_device"`

	Pos        string
	Extensions struct {
		ToDevice struct {
			events
			Next string `json:"next_batch"`
		} `json:"to_device"`
	}
}

type events struct {
	Events []struct {
		Type, Sender string
		Content      struct{ N int }
	}
}

func (e events) numbers() (ns []int) {
	for _, ev := range e.Events {
		ns = append(ns, ev.Content.N)
	}
	return ns
}

// post sends a number to all devices of a user.
func post(t *testing.T, from *e2e.Client, to, txn string, n int) {
	t.Helper()
	body := map[string]any{"messages": map[string]any{to: map[string]any{"*": map[string]int{"n": n}}}}
	if err := from.Do(t.Context(), http.MethodPut, v3+"/sendToDevice/org.example.n/"+txn, body, nil); err != nil {
		t.Fatal(err)
	}
}

// TestMessagesToDevicesInSync: a parked /sync gets what comes, as often as it asks
// with the same token, and then never again.
func TestMessagesToDevicesInSync(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		ask := func(since string, timeout int) (m mail) {
			t.Helper()
			query := url.Values{"since": {since}, "timeout": {fmt.Sprint(timeout)}}
			if err := bob.Do(t.Context(), http.MethodGet, v3+"/sync?"+query.Encode(), nil, &m); err != nil {
				t.Error(err)
			}
			return m
		}
		start := ask("", 0).Next
		parked := make(chan mail)
		go func() { parked <- ask(start, 30_000) }()
		post(t, alice, bob.UserID, "a", 1)
		post(t, alice, bob.UserID, "a", 1)
		first := <-parked
		post(t, alice, bob.UserID, "b", 2)
		if got := first.ToDevice; !slices.Equal(got.numbers(), []int{1}) || got.Events[0].Sender != alice.UserID || got.Events[0].Type != "org.example.n" {
			t.Errorf("the parked request got %+v", got)
		}
		if got := ask(start, 0).ToDevice.numbers(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("asking again with the same token: %v", got)
		}
		next := ask(first.Next, 0)
		if got := next.ToDevice.numbers(); !slices.Equal(got, []int{2}) {
			t.Errorf("after the first message: %v", got)
		}
		if got := ask(next.Next, 0).ToDevice.numbers(); got != nil {
			t.Errorf("after both: %v", got)
		}
		if got := ask("", 0).ToDevice.numbers(); got != nil {
			t.Errorf("from the start: %v", got)
		}
	})
}

// TestMessagesToDevicesInSlidingSync: the extension has a token of its own, which
// outlives the connection, and takes a limit.
func TestMessagesToDevicesInSlidingSync(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, bob := h.user(t, "alice"), h.user(t, "bob")
		for n := range 3 {
			post(t, alice, bob.UserID, fmt.Sprint(n), n)
		}
		since, pos := "", ""
		ask := func() []int {
			t.Helper()
			body := map[string]any{"extensions": map[string]any{"to_device": map[string]any{"enabled": true, "since": since, "limit": 2}}}
			var m mail
			err := bob.Do(t.Context(), http.MethodPost, "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0&pos="+url.QueryEscape(pos), body, &m)
			if err != nil {
				t.Fatal(err)
			}
			since, pos = m.Extensions.ToDevice.Next, m.Pos
			return m.Extensions.ToDevice.numbers()
		}
		if got := ask(); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("first: %v", got)
		}
		pos = "" // the connection is lost, and with it nothing
		if got := ask(); !slices.Equal(got, []int{2}) {
			t.Errorf("then: %v", got)
		}
		if got := ask(); got != nil {
			t.Errorf("at the end: %v", got)
		}
	})
}

type backedUpKey struct {
	First     int             `json:"first_message_index"`
	Forwarded int             `json:"forwarded_count"`
	Verified  bool            `json:"is_verified"`
	Data      json.RawMessage `json:"session_data"`
}

type backedUpRoom struct {
	Sessions map[string]backedUpKey `json:"sessions"`
}

type backedUp struct {
	Rooms map[string]backedUpRoom `json:"rooms"`
}

// TestBackupComesBackWhole: more keys than are read at once, of several rooms.
func TestBackupComesBackWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		keys := v3 + "/room_keys/keys"
		do := func(method, path string, body, answer any) error {
			return alice.Do(t.Context(), method, path, body, answer)
		}
		version := map[string]any{"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": map[string]string{"public_key": "k"}}
		for range 2 {
			if err := do(http.MethodPost, v3+"/room_keys/version", version, nil); err != nil {
				t.Fatal(err)
			}
		}
		var empty backedUp
		if err := do(http.MethodGet, keys+"?version=2", nil, &empty); err != nil || empty.Rooms == nil || len(empty.Rooms) != 0 {
			t.Errorf("an empty backup is %+v, %v", empty, err)
		}
		want := backedUp{map[string]backedUpRoom{}}
		for r := range 3 {
			sessions := map[string]backedUpKey{}
			for n := range 400 {
				sessions[fmt.Sprintf("session/%d", n)] = backedUpKey{First: n, Data: json.RawMessage(fmt.Sprintf(`{"ciphertext":"%d<%d"}`, r, n))}
			}
			want.Rooms[fmt.Sprintf("!room%d:example.test", r)] = backedUpRoom{sessions}
		}
		if err := do(http.MethodPut, keys+"?version=2", want, nil); err != nil {
			t.Fatal(err)
		}
		var got backedUp
		if err := do(http.MethodGet, keys+"?version=2", nil, &got); err != nil || len(got.Rooms) != 3 {
			t.Fatalf("%d rooms came back, %v", len(got.Rooms), err)
		}
		for id, room := range want.Rooms {
			var alone backedUpRoom
			if err := do(http.MethodGet, keys+"/"+url.PathEscape(id)+"?version=2", nil, &alone); err != nil || len(alone.Sessions) != len(room.Sessions) {
				t.Errorf("%d keys of %s alone, %v", len(alone.Sessions), id, err)
			}
			for session, key := range room.Sessions {
				var a, b struct{ Ciphertext string }
				if json.Unmarshal(key.Data, &a) != nil || json.Unmarshal(got.Rooms[id].Sessions[session].Data, &b) != nil || a != b || got.Rooms[id].Sessions[session].First != key.First {
					t.Fatalf("%s %s came back as %+v", id, session, got.Rooms[id].Sessions[session])
				}
			}
		}
		var one backedUpKey
		path := keys + "/" + url.PathEscape("!room1:example.test") + "/" + url.PathEscape("session/7")
		if err := do(http.MethodGet, path+"?version=2", nil, &one); err != nil || one.First != 7 {
			t.Errorf("one key: %+v, %v", one, err)
		}
		for path, code := range map[string]string{
			keys: "M_MISSING_PARAM", keys + "?version=3": "M_NOT_FOUND", keys + "/!x?version=x": "M_NOT_FOUND", path + "x?version=2": "M_NOT_FOUND",
		} {
			var refused *e2e.StatusError
			if err := do(http.MethodGet, path, nil, nil); !errors.As(err, &refused) || refused.Code != code {
				t.Errorf("GET %s: %v, want %s", path, err, code)
			}
		}
		var refused *e2e.StatusError
		if err := do(http.MethodPut, keys+"?version=1", want, nil); !errors.As(err, &refused) || refused.Status != http.StatusForbidden || refused.Code != "M_WRONG_ROOM_KEYS_VERSION" {
			t.Errorf("writing to the old version: %v", err)
		}
	})
}

// TestEventsOfDehydratedDevice: a batch has a token, by whatever name and method
// the client hands it back, and the end is an answer without events; by GET also
// without a token, which is what matrix-js-sdk looks for.
func TestEventsOfDehydratedDevice(t *testing.T) {
	h := newHouse(t, "", nil)
	alice, bob := h.user(t, "alice"), h.user(t, "bob")
	const base = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
	err := alice.Do(t.Context(), http.MethodPut, base, map[string]any{
		"device_id": "DREAM", "device_data": map[string]string{"algorithm": "org.matrix.msc3814.v2"},
		"device_keys": map[string]any{
			"user_id": alice.UserID, "device_id": "DREAM", "algorithms": []string{}, "keys": map[string]string{}, "signatures": struct{}{}, "dehydrated": true,
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	post(t, bob, alice.UserID, "a", 1)
	type answer struct {
		events
		Next string `json:"next_batch"`
	}
	for name, next := range map[string]func(string) (method, query string, body any){
		"from":       func(s string) (string, string, any) { return http.MethodGet, "?from=" + s, nil },
		"next_batch": func(s string) (string, string, any) { return http.MethodGet, "?next_batch=" + s, nil },
		"the body":   func(s string) (string, string, any) { return http.MethodPost, "", map[string]string{"next_batch": s} },
	} {
		var first, last answer
		if err := alice.Do(t.Context(), http.MethodGet, base+"/DREAM/events", nil, &first); err != nil {
			t.Fatal(err)
		}
		method, query, body := next(first.Next)
		if err := alice.Do(t.Context(), method, base+"/DREAM/events"+query, body, &last); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first.numbers(), []int{1}) || first.Next == "" || last.numbers() != nil || (last.Next == "") != (method == http.MethodGet) {
			t.Errorf("by %s: %+v, then %+v", name, first, last)
		}
	}
}
