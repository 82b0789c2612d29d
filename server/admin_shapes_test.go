package server_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// TestAdminAnswersHaveTheirShapes holds the names of the fields of what admin tools
// read against Synapse's documentation. want is the answer's fields; behind a
// slash come those of the first thing in the list that has a name.
func TestAdminAnswersHaveTheirShapes(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice, bob)
		ev, err := say(t.Context(), bob, id, "1", "words")
		if err != nil {
			t.Fatal(err)
		}
		at := "/rooms/" + url.PathEscape(id)
		ask(t, alice, "POST", v3+at+"/report/"+url.PathEscape(ev), map[string]any{"reason": "rude", "score": -5})
		ask(t, alice, "POST", v3+"/users/"+bob.UserID+"/report", map[string]string{"reason": "rude"})
		ask(t, root, "POST", admin+"/registration_tokens/new", map[string]string{"token": "welcome"})
		purge := ask(t, root, "POST", admin+"/purge_history/"+url.PathEscape(id), map[string]string{"purge_up_to_event_id": ev})["purge_id"].(string)
		finished(t, root, admin+"/purge_history_status/"+purge)
		other := room(t, bob)
		gone := ask(t, root, "DELETE", "/_synapse/admin/v2/rooms/"+url.PathEscape(other), map[string]bool{"block": true})["delete_id"].(string)
		finished(t, root, "/_synapse/admin/v2/rooms/delete_status/"+gone)
		_, reports := firstOf(ask(t, root, "GET", admin+"/event_reports", nil), "event_reports")
		_, people := firstOf(ask(t, root, "GET", admin+"/user_reports", nil), "user_reports")

		const (
			users       = "total users/users admin avatar_url creation_ts deactivated displayname erased is_guest last_seen_ts locked name shadow_banned user_type"
			user        = "admin appservice_id avatar_url consent_server_notice_sent consent_ts consent_version creation_ts deactivated displayname erased external_ids is_guest last_seen_ts locked name shadow_banned suspended threepids user_type"
			token       = "completed expiry_time pending token uses_allowed"
			listed      = "canonical_alias creator encryption federatable guest_access history_visibility join_rules joined_local_members joined_members name public room_id room_type state_events version"
			details     = "avatar canonical_alias creator encryption federatable forgotten guest_access history_visibility join_rules joined_local_devices joined_local_members joined_members name public replacement_room room_id room_type state_events tombstoned topic version"
			eventReport = "canonical_alias event_id id name reason received_ts room_id score sender user_id"
			userReport  = "id reason received_ts target_user_id user_id"
			deletion    = "delete_id room_id shutdown_room status"
		)
		for _, tc := range []struct{ path, want string }{
			{"/v1/server_version", "server_version"},
			{"/v1/register", "nonce"},
			{"/v1/username_available?username=carol", "available"},
			{"/v1/registration_tokens", "registration_tokens/registration_tokens " + token},
			{"/v1/registration_tokens/welcome", token},
			{"/v2/users", users},
			{"/v3/users", users},
			{"/v2/users?limit=1", strings.Replace(users, "total", "next_token total", 1)},
			{"/v2/users/" + bob.UserID, user},
			{"/v1/whois/" + bob.UserID, "devices user_id"},
			{"/v1/users/" + bob.UserID + "/admin", "admin"},
			{"/v1/users/" + bob.UserID + "/joined_rooms", "joined_rooms total"},
			{"/v1/users/" + bob.UserID + "/memberships", "memberships"},
			{"/v1/users/" + bob.UserID + "/accountdata", "account_data"},
			{"/v2/users/" + bob.UserID + "/devices", "devices total/devices device_id display_name last_seen_ip last_seen_ts last_seen_user_agent user_id"},
			{"/v1/rooms", "offset rooms total_rooms/rooms " + listed},
			{"/v1/rooms?limit=0", "offset rooms total_rooms"},
			{"/v1/rooms?from=1", "offset prev_batch rooms total_rooms"},
			{"/v1" + at, details},
			{"/v1" + at + "/members", "members total"},
			{"/v1" + at + "/state", "state/state content event_id origin_server_ts room_id sender state_key type unsigned"},
			{"/v1" + at + "/messages?dir=b&limit=1", "chunk end start/chunk content event_id origin_server_ts room_id sender type unsigned"},
			{"/v1" + at + "/context/" + url.PathEscape(ev), "end event events_after events_before start state"},
			{"/v1" + at + "/block", "block"},
			{"/v1/rooms/" + url.PathEscape(other) + "/block", "block user_id"},
			{"/v1" + at + "/forward_extremities", "count results/results depth event_id received_ts state_group"},
			{"/v1/fetch_event/" + url.PathEscape(ev), "event"},
			{"/v1/purge_history_status/" + purge, "status"},
			{"/v2/rooms/delete_status/" + gone, deletion},
			{"/v2/rooms/" + url.PathEscape(other) + "/delete_status", "results/results " + deletion},
			{"/v1/event_reports", "event_reports total/event_reports " + eventReport},
			{"/v1/event_reports/" + reports, strings.Replace(eventReport, "event_id", "event_id event_json", 1)},
			{"/v1/user_reports", "total user_reports/user_reports " + userReport},
			{"/v1/user_reports/" + people, userReport},
			{"/v1/statistics/database/rooms", "rooms/rooms estimated_size room_id"},
			{"/v1/federation/destinations", "destinations total"},
			{"/v1/background_updates/enabled", "enabled"},
			{"/v1/background_updates/status", "current_updates enabled"},
		} {
			got := ask(t, root, "GET", "/_synapse/admin"+tc.path, nil)
			top, inner, _ := strings.Cut(tc.want, "/")
			hasKeys(t, tc.path, got, top)
			if inner != "" {
				list, fields, _ := strings.Cut(inner, " ")
				first, _ := firstOf(got, list)
				hasKeys(t, list+" of "+tc.path, first, fields)
			}
		}
		for _, path := range []string{"/{}", "/{}/rooms"} {
			refused(t, root, "GET", admin+"/federation/destinations"+strings.Replace(path, "{}", "elsewhere.test", 1), nil, "M_NOT_FOUND")
		}
		notice := ask(t, root, "POST", admin+"/send_server_notice", map[string]any{"user_id": bob.UserID, "content": map[string]string{"msgtype": "m.text", "body": "hello"}})
		hasKeys(t, "a notice", notice, "event_id")
		hasKeys(t, "a join", ask(t, root, "POST", admin+"/join/"+url.PathEscape(id), map[string]string{"user_id": root.UserID}), "room_id")
		hasKeys(t, "a deactivation", ask(t, root, "POST", admin+"/deactivate/"+bob.UserID, map[string]bool{"erase": true}), "id_server_unbind_result")
		for _, tc := range []struct{ method, path string }{
			{"DELETE", "/event_reports/" + reports},
			{"DELETE", "/user_reports/" + people},
			{"DELETE", "/registration_tokens/welcome"},
		} {
			if got := ask(t, root, tc.method, admin+tc.path, nil); len(got) != 0 {
				t.Errorf("%s %s: %v", tc.method, tc.path, got)
			}
		}
	})
}

// firstOf is the first thing in a list of an answer, with its id.
func firstOf(o map[string]any, list string) (first any, id string) {
	all, _ := o[list].([]any)
	if len(all) == 0 {
		return nil, ""
	}
	if m, ok := all[0].(map[string]any); ok {
		if n, ok := m["id"].(float64); ok {
			id = strconv.Itoa(int(n))
		}
	}
	return all[0], id
}
