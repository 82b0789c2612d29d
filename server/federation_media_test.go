package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/blob/s3test"
	"hearth/base/config"
	"hearth/homeserver/fedclient/fedtest"
)

// TestOperatorsAndCopies: what operators do with files of other servers.
func TestOperatorsAndCopies(t *testing.T) {
	twoTowns(t, func(t *testing.T, here, there *house) {
		root, alice, bob := here.operatorOf(t), here.user(t, "alice"), there.user(t, "bob")
		status := func(uri string) int {
			t.Helper()
			res, _ := here.fetch(t, alice, "GET", newDownload+uri, "", nil)
			return res.StatusCode
		}
		one, two := there.upload(t, bob, "one.txt", "text/plain", []byte("one")), there.upload(t, bob, "two.txt", "text/plain", []byte("two"))
		own := here.upload(t, alice, "own.txt", "text/plain", []byte("one"))
		if status(one) != 200 || status(two) != 200 {
			t.Fatal("the files do not come")
		}
		server, id, _ := strings.Cut(one, "/")
		info := ask(t, root, "GET", admin+"/media/"+one, nil)["media_info"].(map[string]any)
		if info["media_origin"] != server || info["user_id"] != nil || info["filesystem_id"] == nil || info["safe_from_quarantine"] != nil || info["media_length"] != 3.0 {
			t.Errorf("a copy: %v", info)
		}

		// What is hidden stays hidden, here as there, and whatever has the same bytes.
		ask(t, root, "POST", admin+"/media/quarantine/"+one, struct{}{})
		if a, b, c := status(one), status(own), status(two); a != 404 || b != 404 || c != 200 {
			t.Errorf("hidden: %d, the same bytes %d, another %d", a, b, c)
		}
		if res, _ := there.fetch(t, bob, "GET", newDownload+one, "", nil); res.StatusCode != 200 {
			t.Errorf("on the other server: %d", res.StatusCode)
		}
		future := fmt.Sprintf("%s/purge_media_cache?before_ts=%d", admin, time.Now().Add(time.Hour).UnixMilli())
		if n := ask(t, root, "POST", future, struct{}{})["deleted"]; n != 1.0 { // two
			t.Errorf("purged %v", n)
		}
		if status(one) != 404 || status(two) != 200 {
			t.Error("after the purge")
		}
		ask(t, root, "POST", admin+"/media/unquarantine/"+one, struct{}{})
		if a, b := status(one), status(own); a != 200 || b != 200 {
			t.Errorf("shown again: %d %d", a, b)
		}
		deleted := ask(t, root, "DELETE", admin+"/media/"+one, nil)
		if deleted["total"] != 1.0 || fmt.Sprint(deleted["deleted_media"]) != "["+id+"]" {
			t.Errorf("deleted: %v", deleted)
		}
		refused(t, root, "GET", admin+"/media/"+one, nil, "M_NOT_FOUND")
		if a, b := status(own), status(one); a != 200 || b != 200 {
			t.Errorf("after the copy was deleted: the same bytes %d, again %d", a, b)
		}

		// A file that nobody here has seen yet.
		three := there.upload(t, bob, "three.txt", "text/plain", []byte("three"))
		refused(t, root, "POST", admin+"/media/unquarantine/"+three, struct{}{}, "M_NOT_FOUND")
		for range 2 {
			ask(t, root, "POST", admin+"/media/quarantine/"+three, struct{}{})
		}
		if info := ask(t, root, "GET", admin+"/media/"+three, nil)["media_info"].(map[string]any); info["quarantined_by"] != root.UserID || info["media_length"] != nil {
			t.Errorf("hidden before it came: %v", info)
		}
		if n := ask(t, root, "POST", future, struct{}{})["deleted"]; n != 2.0 || status(three) != 404 {
			t.Errorf("purged %v", n)
		}
		ask(t, root, "POST", admin+"/media/unquarantine/"+three, struct{}{})
		if status(three) != 200 {
			t.Error("shown before it came, and it does not come")
		}
		log := ask(t, root, "GET", admin+"/media/quarantine_changes", nil)["changes"].([]any)
		if last := log[len(log)-2].(map[string]any); last["origin"] != server || last["quarantined"] != true {
			t.Errorf("the changes: %v", log)
		}
		for _, bad := range []string{"/media/quarantine/" + server + "/a%20b", "/media/quarantine/here%2F/a", "/media/quarantine/example.test%00/a"} {
			if res, body := here.fetch(t, root, "POST", admin+bad, "", strings.NewReader("{}")); res.StatusCode != 404 {
				t.Errorf("%s: %d %s", bad, res.StatusCode, body)
			}
		}
	})
}

// TestSizesOfOtherServersFiles: what is too large does not come.
func TestSizesOfOtherServersFiles(t *testing.T) {
	w := towns{fedtest.NewAuthority(t)}
	here, there := w.house(t, "", func(c *config.Config) { c.Media.RemoteMaxSize = 1000 }), w.house(t, "", nil)
	alice, bob := here.user(t, "alice"), there.user(t, "bob")
	fits, large := there.upload(t, bob, "a", "text/plain", make([]byte, 1000)), there.upload(t, bob, "b", "image/png", make([]byte, 1001))
	if res, body := here.fetch(t, alice, "GET", newDownload+fits, "", nil); res.StatusCode != 200 || len(body) != 1000 {
		t.Errorf("what fits: %d", res.StatusCode)
	}
	for _, path := range []string{newDownload + large, newSmall + large + "?width=30&height=30"} {
		if res, body := here.fetch(t, alice, "GET", path, "", nil); res.StatusCode != 502 || !bytes.Contains(body, []byte("M_TOO_LARGE")) {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	bomb := there.upload(t, bob, "c", "image/png", pngBomb(50_000, 50_000))
	if res, body := here.fetch(t, alice, "GET", newSmall+bomb+"?width=30&height=30", "", nil); res.StatusCode != 502 || !bytes.Contains(body, []byte("M_TOO_LARGE")) {
		t.Errorf("a bomb: %d %s", res.StatusCode, body)
	}
	// Thumbnails as other servers see them, which may be asked for by those alone.
	if res, _ := there.fetch(t, bob, "GET", "/_matrix/federation/v1/version", "", nil); res.StatusCode != 200 {
		t.Errorf("version: %d", res.StatusCode)
	}
	if res, body := there.fetch(t, bob, "GET", "/_matrix/key/v2/server/ed25519:auto", "", nil); res.StatusCode != 200 || !bytes.Contains(body, []byte(`"verify_keys"`)) {
		t.Errorf("keys: %d %s", res.StatusCode, body)
	}
}

// TestOtherServersFilesStream: a large file of another server, which is in this
// process too, comes without ever being in memory.
func TestOtherServersFilesStream(t *testing.T) {
	const size, most = 300 << 20, 20 << 20
	measure := func(t *testing.T, change func(c *config.Config)) {
		w := towns{fedtest.NewAuthority(t)}
		large := func(c *config.Config) {
			c.Media.MaxUpload, c.Media.RemoteMaxSize, c.Media.RemoteCacheSize = 1<<30, 1<<30, 1<<30
		}
		here, there := w.house(t, "", func(c *config.Config) { large(c); change(c) }), w.house(t, "", large)
		alice, bob := here.user(t, "alice"), there.user(t, "bob")
		client := &http.Client{}
		defer client.CloseIdleConnections()
		do := func(token, method, url string, body io.Reader) (n int64, head []byte) {
			req, err := http.NewRequestWithContext(t.Context(), method, url, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			head, _ = io.ReadAll(io.LimitReader(res.Body, 200))
			n, err = io.Copy(io.Discard, res.Body)
			if err != nil || res.StatusCode != 200 {
				t.Errorf("%s: %d %v", method, res.StatusCode, err)
			}
			return n + int64(len(head)), head
		}
		_, answer := do(bob.Token, "POST", there.url+"/_matrix/media/v3/upload", &pattern{size: size})
		_, uri, _ := strings.Cut(string(answer), "mxc://")
		uri = uri[:strings.IndexByte(uri, '"')]
		runtime.GC()
		stop, peak := watchHeap()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if n, _ := do(alice.Token, "GET", here.url+newDownload+uri, nil); n != size {
					t.Errorf("%d bytes", n)
				}
			})
		}
		wg.Wait()
		close(stop)
		took := <-peak
		t.Logf("%d MB of another server took %d KB of memory", size>>20, took>>10)
		if took > most {
			t.Errorf("a file of %d bytes took %d bytes of memory", size, took)
		}
	}
	t.Run("folder", func(t *testing.T) { measure(t, func(*config.Config) {}) })
	t.Run("bucket", func(t *testing.T) {
		b := s3test.Start(t)
		measure(t, func(c *config.Config) {
			c.S3 = config.S3{Endpoint: "http://" + b.Endpoint, Bucket: b.Name, Prefix: b.Prefix, AccessKey: b.AccessKey, SecretKey: b.SecretKey, Region: b.Region, PathStyle: true}
		})
	})
}

// TestNobodyHasEverythingFetched: who wants too many files of other servers in a
// short time is told to wait, and so is a server that asks for too much.
func TestNobodyHasEverythingFetched(t *testing.T) {
	w := towns{fedtest.NewAuthority(t)}
	here, there := w.house(t, "", func(c *config.Config) { c.Limits.Enabled = true }), w.house(t, "", nil)
	alice, bob := here.user(t, "alice"), there.user(t, "bob")
	uri := there.upload(t, bob, "a", "text/plain", []byte("a"))
	server, _, _ := strings.Cut(uri, "/")
	get := func(path string) int {
		res, _ := here.fetch(t, alice, "GET", path, "", nil)
		return res.StatusCode
	}
	if got := get(newDownload + uri); got != 200 {
		t.Fatal(got)
	}
	until := func(status int, path string, most int) {
		t.Helper()
		for range most {
			if get(path) == status {
				return
			}
		}
		t.Errorf("%s was never answered with %d", path, status)
	}
	until(429, newDownload+server+"/missing", 2000)
	if got := get(newDownload + uri); got != 200 {
		t.Errorf("what is here already: %d", got)
	}
	until(429, "/_matrix/federation/v1/version", 5000)
}
