package server_test

import (
	"net/http"
	"net/url"
	"testing"

	"hearth/e2e"
)

// TestSettingsFollowUpgrades: who muted a room finds the one that replaces it
// quiet, whoever made it.
func TestSettingsFollowUpgrades(t *testing.T) {
	h := newHouse(t, "", nil)
	alice, bob := h.user(t, "alice"), h.user(t, "bob")
	r := room(t, alice, bob)
	mute := func(room string) string { return v3 + "/pushrules/global/room/" + url.PathEscape(room) }
	for _, who := range []*e2e.Client{alice, bob} {
		if err := who.Do(t.Context(), http.MethodPut, mute(r), map[string]any{"actions": []string{}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var next struct {
		Room string `json:"replacement_room"`
	}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/rooms/"+url.PathEscape(r)+"/upgrade", map[string]string{"new_version": "11"}, &next); err != nil {
		t.Fatal(err)
	}
	if err := alice.Do(t.Context(), http.MethodGet, mute(next.Room), nil, nil); err != nil {
		t.Errorf("alice, who upgraded the room: %v", err)
	}
	if err := bob.Do(t.Context(), http.MethodPost, v3+"/join/"+url.PathEscape(next.Room), struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := bob.Do(t.Context(), http.MethodGet, mute(next.Room), nil, nil); err != nil {
		t.Errorf("bob, who followed: %v", err)
	}
}

// TestSettingsFollowUpgradesByHand: a room that is replaced without /upgrade.
func TestSettingsFollowUpgradesByHand(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	r := room(t, alice)
	mute := func(room string) string { return v3 + "/pushrules/global/room/" + url.PathEscape(room) }
	if err := alice.Do(t.Context(), http.MethodPut, mute(r), map[string]any{"actions": []string{}}, nil); err != nil {
		t.Fatal(err)
	}
	var next struct {
		Room string `json:"room_id"`
	}
	create := map[string]any{"preset": "public_chat", "creation_content": map[string]any{"predecessor": map[string]string{"room_id": r, "event_id": "$x"}}}
	if err := alice.Do(t.Context(), http.MethodPost, v3+"/createRoom", create, &next); err != nil {
		t.Fatal(err)
	}
	tombstone := map[string]string{"body": "moved", "replacement_room": next.Room}
	if err := alice.Do(t.Context(), http.MethodPut, v3+"/rooms/"+url.PathEscape(r)+"/state/m.room.tombstone/", tombstone, nil); err != nil {
		t.Fatal(err)
	}
	if err := alice.Do(t.Context(), http.MethodGet, mute(next.Room), nil, nil); err != nil {
		t.Error(err)
	}
}
