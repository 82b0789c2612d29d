package server_test

import (
	"net/http"
	"net/url"
	"testing"
)

// TestWhatIsKeptForADeviceGoesWithIt: settings that a client keeps for one device
// are gone when that has logged out, and an empty entry is a deleted one.
func TestWhatIsKeptForADeviceGoesWithIt(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice, tablet := h.user(t, "alice"), h.user(t, "alice2")
		if err := tablet.Login(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		var me struct {
			Device string `json:"device_id"`
		}
		if err := tablet.Do(t.Context(), http.MethodGet, v3+"/account/whoami", nil, &me); err != nil {
			t.Fatal(err)
		}
		base := v3 + "/user/" + url.PathEscape("@alice:example.test") + "/account_data/"
		entry := base + "m.local_notification_settings." + me.Device
		for path, gone := range map[string]func() error{
			entry:                  func() error { return tablet.Do(t.Context(), http.MethodPost, v3+"/logout", nil, nil) },
			base + "org.example.x": func() error { return alice.Do(t.Context(), http.MethodPut, base+"org.example.x", struct{}{}, nil) },
		} {
			if err := alice.Do(t.Context(), http.MethodPut, path, map[string]bool{"is_silenced": true}, nil); err != nil {
				t.Fatal(err)
			}
			if err := gone(); err != nil {
				t.Fatal(err)
			}
			if err := alice.Do(t.Context(), http.MethodGet, path, nil, nil); err == nil {
				t.Errorf("%s is still there", path)
			}
		}
	})
}
