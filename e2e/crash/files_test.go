package crash

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/e2e"
	"hearth/homeserver/fedclient/fedtest"
)

const (
	fileKills  = 40
	fileUsers  = 6
	contents   = 40 // that files share, here and elsewhere
	otherFiles = 60 // of another server
)

func content(n int) string {
	return fmt.Sprintf("content %d %s", n%contents, strings.Repeat("x", 1000))
}

// TestFilesSurvive: people upload files, look at those of another server of which
// only a few fit, and an operator deletes some, while the server is killed again
// and again. In the end no file that was acknowledged lacks its bytes, and no bytes
// are kept that are no file's.
func TestFilesSurvive(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		ca := fedtest.NewAuthority(t)
		other := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var n int
			if _, err := fmt.Sscanf(r.URL.Path, "/_matrix/federation/v1/media/download/f%d", &n); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
			fmt.Fprintf(w, "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\n%s\r\n--b--\r\n", content(n))
		}))
		h.Stop(t)
		h.Configure(t, fmt.Sprintf(`[federation]
enabled = true
ca = %q
allowed_addresses = ["127.0.0.1"]
[media]
remote_max_size = "2KB"
remote_cache_size = "5KB"
`, ca.File(t)))
		h.Restart(t)
		f := &files{Hearth: h, other: other.Addr, kept: map[string]int{}}
		f.root = operator(t, h)

		stop, busy := make(chan struct{}), make(chan struct{}, fileUsers)
		var working sync.WaitGroup
		for range fileUsers {
			working.Go(func() { f.work(ctx, stop, busy) })
		}
		for range fileKills {
			for range rand.N(10) + 5 {
				select {
				case <-busy:
				case <-ctx.Done():
					t.Fatal("nothing is done any more")
				}
			}
			<-time.After(rand.N(20 * time.Millisecond)) // at any moment
			h.Kill()
			for len(busy) > 0 {
				<-busy
			}
			h.Restart(t)
		}
		close(stop)
		working.Wait()
		f.check(ctx, t)
		h.Kill() // and what is left over goes after the next start
		h.Restart(t)
		f.check(ctx, t)
		t.Logf("%d files are left of %d", len(f.kept), f.made)
	})
}

// files is what people know of their files.
type files struct {
	*e2e.Hearth
	root  *e2e.Client
	other string // the other server

	mu   sync.Mutex
	made int
	kept map[string]int // what an uploaded file contains, by its id
}

// operator makes an account that may do anything.
func operator(t *testing.T, h *e2e.Hearth) *e2e.Client {
	t.Helper()
	c := h.Register(t, "somebody")
	var nonce struct {
		Nonce string `json:"nonce"`
	}
	const path = "/_synapse/admin/v1/register"
	if err := c.Do(t.Context(), http.MethodGet, path, nil, &nonce); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, []byte("s3cret"))
	fmt.Fprintf(mac, "%s\x00root\x00%s\x00admin", nonce.Nonce, e2e.Password("root"))
	body := map[string]any{"nonce": nonce.Nonce, "username": "root", "password": e2e.Password("root"), "admin": true, "mac": hex.EncodeToString(mac.Sum(nil))}
	if err := c.Do(t.Context(), http.MethodPost, path, body, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch is one request of the operator's, with the status of its answer, 0 for
// none.
func (f *files) fetch(ctx context.Context, method, path, body string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, method, f.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+f.root.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(text)
}

const (
	adminMedia    = "/_synapse/admin/v1/media/"
	downloadMedia = "/_matrix/client/v1/media/download/"
)

// work does one thing after the other until it is stopped.
func (f *files) work(ctx context.Context, stop, busy chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		done := false
		switch n := rand.N(4000); n % 4 {
		default:
			status, answer := f.fetch(ctx, http.MethodPost, "/_matrix/media/v3/upload", content(n))
			if _, id, ok := strings.Cut(answer, "mxc://example.test/"); ok && status == http.StatusOK {
				f.mu.Lock()
				f.kept[id[:strings.IndexByte(id, '"')]] = n
				f.made++
				f.mu.Unlock()
				done = true
			}
		case 1:
			status, _ := f.fetch(ctx, http.MethodGet, fmt.Sprintf("%s%s/f%d", downloadMedia, f.other, n%otherFiles), "")
			done = status != 0
		case 2:
			f.mu.Lock()
			var id string
			for id = range f.kept {
				break
			}
			delete(f.kept, id) // whether it was deleted is not known if nobody answers
			f.mu.Unlock()
			if id != "" {
				status, _ := f.fetch(ctx, http.MethodDelete, adminMedia+"example.test/"+id, "")
				done = status != 0
			}
		}
		if !done {
			<-time.After(30 * time.Millisecond) // the server is away, or there is nothing to delete
			continue
		}
		select {
		case busy <- struct{}{}:
		default:
		}
	}
}

// check compares what is on disk with what there should be.
func (f *files) check(ctx context.Context, t *testing.T) {
	t.Helper()
	for id, n := range f.kept {
		if status, got := f.fetch(ctx, http.MethodGet, downloadMedia+"example.test/"+id, ""); status != http.StatusOK || got != content(n) {
			t.Errorf("a file that was acknowledged: %d %.100s", status, got)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; {
		want, have := f.named(ctx, t), f.onDisk(t)
		missing, extra := 0, 0
		for hash := range want {
			if !have[hash] {
				missing++
			}
		}
		for hash := range have {
			if !want[hash] {
				extra++
			}
		}
		if missing == 0 && extra == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%d files lack their bytes, %d of %d bytes are no file's", missing, extra, len(have))
			return
		}
		<-time.After(20 * time.Millisecond) // the rest goes in the background
	}
}

// named are the hashes of all files that the server knows.
func (f *files) named(ctx context.Context, t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	add := func(path string) {
		var res struct {
			Info struct {
				SHA256 string `json:"sha256"`
			} `json:"media_info"`
		}
		if status, text := f.fetch(ctx, http.MethodGet, adminMedia+path, ""); status == http.StatusOK {
			if err := json.Unmarshal([]byte(text), &res); err != nil {
				t.Fatal(err)
			}
			all[res.Info.SHA256] = true
		}
	}
	for n := range otherFiles {
		add(fmt.Sprintf("%s/f%d", f.other, n))
	}
	var own struct {
		Media []struct {
			ID string `json:"media_id"`
		} `json:"media"`
	}
	status, text := f.fetch(ctx, http.MethodGet, "/_synapse/admin/v1/users/"+f.root.UserID+"/media?limit=10000", "")
	if err := json.Unmarshal([]byte(text), &own); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	for _, m := range own.Media {
		add("example.test/" + m.ID)
	}
	return all
}

// onDisk are the names of the bytes in the server's folder, which are right.
func (f *files) onDisk(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	root := filepath.Join(f.Data, "media")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() && e.Name() == "tmp" {
			return fs.SkipDir
		}
		if err == nil && !e.IsDir() {
			all[e.Name()] = true
		}
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "no such file") { // it goes while one looks
		t.Fatal(err)
	}
	return all
}
