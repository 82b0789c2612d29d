package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/e2e"
)

// keys are the names of an object's members.
func keys(o any) string {
	m, ok := o.(map[string]any)
	if !ok {
		return fmt.Sprintf("%T", o)
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

// hasKeys holds the names of an answer's fields against Synapse's documentation.
func hasKeys(t *testing.T, what string, o any, want string) {
	t.Helper()
	if got := keys(o); got != want {
		t.Errorf("%s has %s, want %s", what, got, want)
	}
}

// share sends a picture to a room.
func share(t *testing.T, who *e2e.Client, room, txn string, uris ...string) {
	t.Helper()
	content := map[string]any{"msgtype": "m.image", "body": "picture", "url": "mxc://" + uris[0]}
	if len(uris) > 1 {
		content["info"] = map[string]any{"thumbnail_url": "mxc://" + uris[1]}
	}
	ask(t, who, http.MethodPut, v3+"/rooms/"+url.PathEscape(room)+"/send/m.room.message/"+txn, content)
}

func TestOperatorQuarantines(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		id := room(t, alice, bob)
		bad, small := h.upload(t, alice, "bad.png", "image/png", []byte("bad")), h.upload(t, alice, "", "image/png", []byte("small"))
		twin := h.upload(t, bob, "innocent.png", "image/png", []byte("bad")) // the same bytes
		fine := h.upload(t, bob, "fine.txt", "text/plain", []byte("fine"))
		share(t, alice, id, "1", bad, small)
		share(t, bob, id, "2", "elsewhere.test/abc")
		status := func(uri string) int {
			res, _ := h.fetch(t, bob, "GET", newDownload+uri, "", nil)
			return res.StatusCode
		}

		listed := ask(t, root, "GET", admin+"/room/"+url.PathEscape(id)+"/media", nil)
		if fmt.Sprint(listed["local"]) != fmt.Sprintf("[mxc://%s mxc://%s]", bad, small) || fmt.Sprint(listed["remote"]) != "[mxc://elsewhere.test/abc]" {
			t.Errorf("media in the room: %v", listed)
		}
		info := ask(t, root, "GET", admin+"/media/"+bad, nil)["media_info"].(map[string]any)
		hasKeys(t, "media_info", info, "authenticated created_ts filesystem_id last_access_ts media_id media_length media_origin media_type quarantined_by safe_from_quarantine sha256 upload_name url_cache user_id")
		if info["user_id"] != alice.UserID || info["media_length"] != 3.0 || info["quarantined_by"] != nil || info["upload_name"] != "bad.png" || info["media_origin"] != nil {
			t.Errorf("a file: %v", info)
		}
		refused(t, root, "GET", admin+"/media/example.test/nothing", nil, "M_NOT_FOUND")

		// One file, and whatever has the same bytes, now and later.
		ask(t, root, "POST", admin+"/media/quarantine/"+bad, struct{}{})
		if a, b, c := status(bad), status(twin), status(fine); a != 404 || b != 404 || c != 200 {
			t.Errorf("after one was quarantined: %d, the same bytes %d, another %d", a, b, c)
		}
		if again := h.upload(t, bob, "", "image/png", []byte("bad")); status(again) != 404 {
			t.Error("what was quarantined comes back by another upload")
		}
		if by := ask(t, root, "GET", admin+"/media/"+twin, nil)["media_info"].(map[string]any)["quarantined_by"]; by != root.UserID {
			t.Errorf("quarantined by %v", by)
		}
		ask(t, root, "POST", admin+"/media/unquarantine/"+bad, struct{}{})
		if a, b := status(bad), status(twin); a != 200 || b != 200 {
			t.Errorf("after it was taken back: %d %d", a, b)
		}

		// Protected files stay.
		_, mediaID, _ := strings.Cut(small, "/")
		ask(t, root, "POST", admin+"/media/protect/"+mediaID, struct{}{})
		n := ask(t, root, "POST", admin+"/room/"+url.PathEscape(id)+"/media/quarantine", struct{}{})
		hasKeys(t, "quarantine of a room", n, "num_quarantined")
		if status(bad) != 404 || status(small) != 200 {
			t.Errorf("in the room: %d, protected %d, %v", status(bad), status(small), n)
		}
		ask(t, root, "POST", admin+"/media/unprotect/"+mediaID, struct{}{})
		if n := ask(t, root, "POST", admin+"/quarantine_media/"+url.PathEscape(id), struct{}{})["num_quarantined"]; n != 1.0 || status(small) != 404 {
			t.Errorf("without protection: %v, %d", n, status(small))
		}
		if n := ask(t, root, "POST", admin+"/user/"+bob.UserID+"/media/quarantine", struct{}{})["num_quarantined"]; n != 1.0 || status(fine) != 404 {
			t.Errorf("all of bob's: %v, %d", n, status(fine))
		}

		log := ask(t, root, "GET", admin+"/media/quarantine_changes", nil)
		changes := log["changes"].([]any)
		if len(changes) != 12 { // one of a file that is not here yet
			t.Errorf("%d changes: %v", len(changes), changes)
		}
		hasKeys(t, "a change", changes[0], "media_id origin quarantined")
		if first := changes[0].(map[string]any); first["quarantined"] != true || first["origin"] != "example.test" {
			t.Errorf("the first change: %v", first)
		}
		if rest := ask(t, root, "GET", fmt.Sprintf("%s/media/quarantine_changes?from=%.0f", admin, log["next_batch"]), nil); len(rest["changes"].([]any)) != 0 {
			t.Errorf("behind the end: %v", rest)
		}
	})
}

func TestOperatorDeletesFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		root, alice, bob := h.operatorOf(t), h.user(t, "alice"), h.user(t, "bob")
		var uris []string
		for i := range 5 {
			uris = append(uris, h.upload(t, alice, fmt.Sprintf("%d.txt", i), "text/plain", []byte(strings.Repeat("x", i+1))))
		}
		face := h.upload(t, bob, "", "image/png", []byte("a face"))
		ask(t, bob, "PUT", v3+"/profile/"+bob.UserID+"/avatar_url", map[string]string{"avatar_url": "mxc://" + face})
		ask(t, bob, "PUT", v3+"/profile/"+bob.UserID+"/displayname", map[string]string{"displayname": "Bobby"})
		mine := admin + "/users/" + alice.UserID + "/media"

		page := ask(t, root, "GET", mine+"?limit=2&order_by=media_length&dir=b", nil)
		files := page["media"].([]any)
		if len(files) != 2 || page["total"] != 5.0 || page["next_token"] != 2.0 || files[0].(map[string]any)["media_length"] != 5.0 {
			t.Fatalf("alice's files: %v", page)
		}
		hasKeys(t, "a user's file", files[0], "created_ts last_access_ts media_id media_length media_type quarantined_by safe_from_quarantine upload_name")
		if last := ask(t, root, "GET", mine+"?from=4", nil); len(last["media"].([]any)) != 1 || last["next_token"] != nil {
			t.Errorf("the last page: %v", last)
		}
		refused(t, root, "GET", mine+"?order_by=colour", nil, "M_INVALID_PARAM")
		refused(t, root, "GET", admin+"/users/@nobody:example.test/media", nil, "M_NOT_FOUND")

		sums := ask(t, root, "GET", admin+"/statistics/users/media?order_by=media_length&dir=b", nil)
		users := sums["users"].([]any)
		if sums["total"] != 2.0 || len(users) != 2 {
			t.Fatalf("sums: %v", sums)
		}
		hasKeys(t, "a sum", users[0], "displayname media_count media_length user_id")
		if a := users[0].(map[string]any); a["user_id"] != alice.UserID || a["media_count"] != 5.0 || a["media_length"] != 15.0 {
			t.Errorf("alice's sum: %v", a)
		}
		if one := ask(t, root, "GET", admin+"/statistics/users/media?search_term=bobb&limit=1", nil); one["total"] != 1.0 || one["users"].([]any)[0].(map[string]any)["displayname"] != "Bobby" {
			t.Errorf("found: %v", one)
		}
		future := time.Now().Add(time.Hour).UnixMilli()
		if none := ask(t, root, "GET", fmt.Sprintf("%s/statistics/users/media?from_ts=%d", admin, future), nil); none["total"] != 0.0 {
			t.Errorf("files of the future: %v", none)
		}
		refused(t, root, "GET", admin+"/statistics/users/media?from_ts=5&until_ts=4", nil, "M_INVALID_PARAM")

		gone := ask(t, root, "DELETE", admin+"/media/"+uris[0], nil)
		hasKeys(t, "what was deleted", gone, "deleted_media total")
		if _, id, _ := strings.Cut(uris[0], "/"); gone["total"] != 1.0 || gone["deleted_media"].([]any)[0] != id {
			t.Errorf("one deleted: %v", gone)
		}
		refused(t, root, "DELETE", admin+"/media/"+uris[0], nil, "M_NOT_FOUND")
		refused(t, root, "DELETE", admin+"/media/elsewhere.test/x", nil, "M_NOT_FOUND")
		if res, _ := h.fetch(t, bob, "GET", newDownload+uris[0], "", nil); res.StatusCode != 404 {
			t.Errorf("a deleted file: %d", res.StatusCode)
		}

		for _, query := range []string{"", "?before_ts=1700000000", "?before_ts=x", "?before_ts=-1"} {
			if err := root.Do(t.Context(), "POST", admin+"/media/delete"+query, nil, nil); err == nil {
				t.Errorf("media/delete%s is allowed", query)
			}
		}
		old := fmt.Sprintf("before_ts=%d", future)
		if res := ask(t, root, "POST", admin+"/media/delete?"+old+"&size_gt=4", nil); res["total"] != 1.0 {
			t.Errorf("large files: %v", res) // the face has 6 bytes, and is somebody's
		}
		if res := ask(t, root, "DELETE", mine+"?limit=2", nil); res["total"] != 2.0 {
			t.Errorf("two of alice's: %v", res)
		}
		if res := ask(t, root, "POST", admin+"/media/example.test/delete?"+old+"&keep_profiles=false", nil); res["total"] != 2.0 {
			t.Errorf("all that is left: %v", res)
		}
		refused(t, root, "POST", admin+"/media/elsewhere.test/delete?"+old, nil, "M_UNKNOWN")
		if res := ask(t, root, "POST", admin+"/purge_media_cache?"+old, nil); res["deleted"] != 0.0 {
			t.Errorf("copies of other servers' files: %v", res)
		}
	})
}
