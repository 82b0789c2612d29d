package server_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestNamelessDevices: a session that has no name and that nobody has used since it
// began is listed with all the fields that matrix-nio asks for, without which it
// shows no device at all.
func TestNamelessDevices(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		if err := h.user(t, "alice2").Login(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		devices := ask(t, alice, http.MethodGet, v3+"/devices", nil)["devices"].([]any)
		if len(devices) != 2 {
			t.Fatalf("devices: %v", devices)
		}
		for _, d := range devices {
			hasKeys(t, "a device", d, "device_id display_name last_seen_ip last_seen_ts")
			seen := time.UnixMilli(int64(d.(map[string]any)["last_seen_ts"].(float64)))
			if age := time.Since(seen); age < -time.Minute || age > time.Minute {
				t.Errorf("seen %v ago", age)
			}
		}
	})
}

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
