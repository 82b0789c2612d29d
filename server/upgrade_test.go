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
