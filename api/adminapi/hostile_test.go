package adminapi

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"hearth/api/clientapi"
)

// Whatever strangers send to the doors of accounts, the answer is a Matrix
// error or success, and never a failure of the server.
func TestHostileInput(t *testing.T) {
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	// One body has every field that any of these doors reads.
	fields := strings.Fields(`auth username password device_id initial_device_display_name inhibit_login refresh_token type
		identifier user medium address new_password logout_devices erase display_name devices displayname avatar_url m.tz
		org.example.x nonce mac admin user_type token length uses_allowed expiry_time deactivated locked threepids external_ids`)
	var bodies []string
	for _, value := range []string{
		`null`, `true`, `-1`, `1e400`, `99999999999999999999`, `""`, `"\u0000"`, `"\ud800"`, "\"\xff\"", `[]`, `{}`, `[null]`, `{"user":"\u0000","type":"m.id.user"}`,
		`{"type":"m.login.password","password":"x","identifier":{"type":"m.id.user","user":"\u0000\ud800"}}`,
	} {
		var b strings.Builder
		for i, f := range fields {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", f, value)
		}
		bodies = append(bodies, "{"+b.String()+"}")
	}
	bodies = append(bodies, "", "{", "[]", "null", `"x"`, deep, `{"auth":`+deep+`}`, "\xff\xfe", strings.Repeat("x", 2<<20),
		`{"username":"`+strings.Repeat("x", 50_000)+`","password":"x"}`,
		`{"type":"m.login.password","password":"x","identifier":{"type":"m.id.user","user":"\u0000\ud800"}}`)
	each(t, func(t *testing.T, h *house) {
		h.router.Add((&clientapi.Accounts{Engine: h.engine}).Routes()...)
		guest, err := h.engine.RegisterGuest(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range h.router.Routes() {
			if route.Spec == "logout" || route.Spec == "logout_all" {
				continue // they end the tokens that the others need
			}
			method, path, _ := strings.Cut(route.Patterns()[0], " ")
			for _, value := range []string{"%00", "%ff", "@alice:example.test", "@%00:example.test", "@x:", strings.Repeat("x", 3000), "m.tz", "%2F"} {
				path := strings.NewReplacer("{userId}", value, "{deviceId}", value, "{token}", value, "{keyName}", value).Replace(path)
				path += "?username=" + value + "&token=" + value + "&name=" + value + "&user_id=" + value + "&limit=-5&kind=" + value + "&not_user_type=" + value
				for i, body := range bodies {
					if i > 0 && !strings.Contains(route.Pattern, "{") && value != "%00" {
						continue // only the body has changed
					}
					for _, token := range []string{"", "x", "\xff", guest.AccessToken, h.admin} {
						r := httptest.NewRequest(method, path, strings.NewReader(body))
						if token != "" {
							r.Header.Set("Authorization", "Bearer "+token)
						}
						w := httptest.NewRecorder()
						h.router.ServeHTTP(w, r)
						if w.Code >= 500 || w.Code >= 400 && w.Code != 401 && !strings.Contains(w.Body.String(), `"errcode":"M_`) {
							t.Errorf("%s %s with %.200q: %d %s", method, path, body, w.Code, w.Body)
						}
					}
				}
			}
		}
	})
}
