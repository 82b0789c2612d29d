package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/base/blob"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// elsewhere is another server's files.
type elsewhere struct {
	mu    sync.Mutex
	files map[string]string // by id
	asked int
	gate  chan struct{} // nil, or files come when it is closed
	came  chan struct{} // nil, or told of each that waits at the gate
}

func (o *elsewhere) fetch(ctx context.Context, origin mxid.ServerName, id string, _ time.Duration, most int64) (*Incoming, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	content, ok := o.files[id]
	if !ok {
		return nil, mxerr.New(mxerr.NotFound, "no")
	}
	if o.gate != nil {
		gate := o.gate
		o.mu.Unlock()
		if o.came != nil {
			o.came <- struct{}{}
		}
		select {
		case <-gate:
		case <-ctx.Done():
		}
		o.mu.Lock()
	}
	return &Incoming{Type: "text/plain", Name: id + "@" + string(origin), Content: io.NopCloser(strings.NewReader(content))}, ctx.Err()
}

// bin tells what was deleted.
type bin struct {
	blob.Store
	deleted chan string
}

func (b bin) Delete(ctx context.Context, name string) error {
	err := b.Store.Delete(ctx, name)
	b.deleted <- name
	return err
}

// library is an engine with copies, and the folder of its bytes.
type library struct {
	*Engine
	root  string
	there *elsewhere
}

func newLibrary(t *testing.T, d *db.DB, bounds Remote) *library {
	t.Helper()
	root := t.TempDir()
	dir, err := blob.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	o := &elsewhere{files: map[string]string{}}
	e := New(Config{DB: d, Blobs: dir, Server: "here.test", Fetch: o.fetch, Remote: bounds})
	t.Cleanup(e.Stop)
	return &library{e, root, o}
}

func always() error { return nil }

// read shows a file to somebody.
func (l *library) read(t *testing.T, origin, id string) (string, error) {
	t.Helper()
	f, err := l.Open(t.Context(), Want{Origin: origin, ID: id, Fetch: always})
	if err != nil {
		return "", err
	}
	defer f.Content.Close()
	b, err := io.ReadAll(f.Content)
	return string(b), err
}

// has reports which of some copies are here.
func (l *library) has(t *testing.T, ids ...string) string {
	t.Helper()
	var here []string
	for _, id := range ids {
		if _, err := l.Info(t.Context(), "there.test", id); err == nil {
			here = append(here, id)
		}
	}
	return strings.Join(here, " ")
}

// blobs counts what is in the folder.
func (l *library) blobs(t *testing.T) (n int) {
	t.Helper()
	err := filepath.WalkDir(l.root, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// age makes copies be looked at for the last time so long ago.
func (l *library) age(t *testing.T, d time.Duration, ids ...string) {
	t.Helper()
	err := l.DB.Write(t.Context(), func(tx *db.Tx) error {
		for _, id := range ids {
			if err := store.MediaUsed(tx, "there.test", id, time.Now().Add(-d).UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestManyWantTheSameFile: it is fetched once, also if who asked first goes away.
func TestManyWantTheSameFile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{})
		l.there.files["a"], l.there.gate = "content", make(chan struct{})
		hasty, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := l.Open(hasty, Want{Origin: "there.test", ID: "a", Fetch: always})
			left <- err
		}()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := l.read(t, "there.test", "a"); got != "content" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		close(l.there.gate)
		wg.Wait()
		if l.there.asked != 1 {
			t.Errorf("fetched %d times", l.there.asked)
		}
	})
}

func TestCopiesGoByAge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{CacheAge: 30 * 24 * time.Hour})
		own, err := l.Add(t.Context(), Upload{User: "@a:here.test", Type: "text/plain", Content: strings.NewReader("of both")})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for i := range 2*sweepBatch + 1 {
			id := fmt.Sprintf("f%d", i)
			l.there.files[id] = id
			all = append(all, id)
		}
		l.there.files["same"], l.there.files["new"] = "of both", "new"
		for id := range l.there.files {
			if _, err := l.read(t, "there.test", id); err != nil {
				t.Fatal(err)
			}
		}
		l.age(t, 31*24*time.Hour, append(all, "same")...)
		l.age(t, 29*24*time.Hour, "new")
		if err := l.Evict(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := l.has(t, append(all, "same", "new")...); got != "new" {
			t.Errorf("left are %s", got)
		}
		if got, err := l.read(t, "here.test", own); got != "of both" || err != nil {
			t.Errorf("a file of this server, of the same bytes: %q, %v", got, err)
		}
		if n := l.blobs(t); n != 2 {
			t.Errorf("%d blobs are left", n)
		}
		if got, err := l.read(t, "there.test", "f7"); got != "f7" || err != nil {
			t.Errorf("again: %q, %v", got, err)
		}
	})
}

// TestCopiesGoBySize: those first that nobody has looked at for longest, until the
// rest fits, never files of this server nor quarantined ones.
func TestCopiesGoBySize(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{CacheSize: 35})
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			l.there.files[id] = strings.Repeat(id, 10)
			if _, err := l.read(t, "there.test", id); err != nil {
				t.Fatal(err)
			}
		}
		for i, id := range []string{"e", "b", "d", "a", "c"} {
			l.age(t, time.Duration(9-i)*time.Hour, id)
		}
		if _, err := l.Add(t.Context(), Upload{User: "@a:here.test", Content: strings.NewReader(strings.Repeat("own", 100))}); err != nil {
			t.Fatal(err)
		}
		bad, err := l.Info(t.Context(), "there.test", "b")
		if err == nil {
			_, err = l.Quarantine(t.Context(), []Info{bad}, "@root:here.test")
		}
		if err != nil {
			t.Fatal(err)
		}
		// Somebody looks at the oldest one.
		if _, err := l.read(t, "there.test", "e"); err != nil {
			t.Fatal(err)
		}
		if err := l.Evict(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := l.has(t, "a", "b", "c", "d", "e"); got != "a b c e" {
			t.Errorf("left are %s", got)
		}
		if _, err := l.read(t, "there.test", "b"); mxerr.From(err).Code != mxerr.NotFound || l.there.asked != 5 {
			t.Errorf("a quarantined file: %v, asked %d times", err, l.there.asked)
		}
	})
}

// TestTooManyCopiesGoAtOnce, not only when somebody looks at them by and by.
func TestTooManyCopiesGoAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{CacheSize: 25})
		gone := bin{l.Blobs, make(chan string, 5)}
		l.Blobs = gone
		l.Start(t.Context())
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			l.there.files[id] = strings.Repeat(id, 10)
			if _, err := l.read(t, "there.test", id); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			<-gone.deleted
		}
		if n := l.blobs(t); n != 2 {
			t.Errorf("%d blobs are here", n)
		}
	})
}

// TestCrashesLeaveNothing: whatever a server did when it was killed, the next one
// finds no bytes that are nobody's, and misses none.
func TestCrashesLeaveNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{})
		l.there.files["a"], l.there.files["b"] = "alpha", "beta"
		own := func(content string) error {
			_, err := l.Add(t.Context(), Upload{User: "@a:here.test", Content: strings.NewReader(content)})
			return err
		}
		for _, id := range []string{"a", "b"} {
			if _, err := l.read(t, "there.test", id); err != nil {
				t.Fatal(err)
			}
		}
		// Killed after the rows of one were deleted, and before its bytes were.
		a, err := l.Info(t.Context(), "there.test", "a")
		if err == nil {
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := deleteFile(tx, a)
				return err
			})
		}
		// Killed after bytes came to their place, and before the row did.
		killed := errors.New("killed")
		draft, err2 := l.Blobs.Write(t.Context(), strings.NewReader("gamma"))
		if err := errors.Join(err, err2, own("delta")); err != nil {
			t.Fatal(err)
		}
		if err := l.keep(t.Context(), draft, func(*db.Tx) error { return killed }); !errors.Is(err, killed) {
			t.Fatal(err)
		}
		// And the same bytes came again meanwhile.
		b, err := l.Info(t.Context(), "there.test", "b")
		if err == nil {
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := deleteFile(tx, b)
				return err
			})
		}
		if err := errors.Join(err, own("beta")); err != nil {
			t.Fatal(err)
		}
		if n := l.blobs(t); n != 4 {
			t.Fatalf("%d blobs before", n)
		}
		if err := l.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := l.blobs(t); n != 2 { // beta and delta
			t.Errorf("%d blobs after", n)
		}
		var left []string
		err = d.Read(t.Context(), func(tx *db.Tx) (err error) {
			left, err = store.Litter(tx, "", 10)
			return err
		})
		if err != nil || len(left) > 0 {
			t.Errorf("litter: %v, %v", left, err)
		}
		if got, err := l.read(t, "there.test", "a"); got != "alpha" || err != nil {
			t.Errorf("again: %q, %v", got, err)
		}
	})
}

// TestLostBytesComeAgain: a copy whose bytes are gone is fetched anew, and so are
// its thumbnails.
func TestLostBytesComeAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{})
		l.there.files["a"] = "alpha"
		for range 2 {
			if got, err := l.read(t, "there.test", "a"); got != "alpha" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			m, err := l.Info(t.Context(), "there.test", "a")
			if err == nil {
				err = os.Remove(filepath.Join(l.root, m.Hash[:2], m.Hash[2:4], m.Hash))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Thumbnail(t.Context(), Want{Origin: "there.test", ID: "a", Fetch: always}, 10, 10, Crop, Still); mxerr.From(err).HTTPStatus() != 400 {
			t.Errorf("a thumbnail of a text: %v", err)
		}
		if l.there.asked != 3 {
			t.Errorf("fetched %d times", l.there.asked)
		}
	})
}

// TestStrangersNames: what cannot be the address of a file is not asked for, and
// what a stranger says of a file is not repeated if that cannot be.
func TestStrangersNames(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{})
		for _, bad := range [][2]string{
			{"there.test", ""},
			{"there.test", "a/b"},
			{"there.test", ".."},
			{"there.test", "a b"},
			{"there.test", "ä"},
			{"there.test", strings.Repeat("a", 256)},
			{"", "a"},
			{"a/b", "a"},
			{"there.test:x", "a"},
			{"there.test\x00", "a"},
		} {
			if _, err := l.read(t, bad[0], bad[1]); err == nil || mxerr.From(err).Code != mxerr.NotFound {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if l.there.asked != 0 {
			t.Errorf("asked %d times", l.there.asked)
		}
		refuse := func() error { return mxerr.New(mxerr.LimitExceeded, "no") }
		if _, err := l.Open(t.Context(), Want{Origin: "there.test", ID: "a", Fetch: refuse}); err == nil || l.there.asked != 0 {
			t.Errorf("a refused fetch: %v", err)
		}
		l.Engine.Fetch = func(context.Context, mxid.ServerName, string, time.Duration, int64) (*Incoming, error) {
			return &Incoming{Type: "text/\nhtml", Name: strings.Repeat("n", 300), Content: io.NopCloser(bytes.NewReader([]byte("x")))}, nil
		}
		f, err := l.Open(t.Context(), Want{Origin: "there.test", ID: "a", Fetch: always})
		if err != nil || f.Type != "application/octet-stream" || f.Name != "" {
			t.Fatalf("%+v, %v", f, err)
		}
		f.Content.Close()
	})
}

// TestFilesComeInAtATime: so many at most, others wait, and none comes when the
// server stops.
func TestFilesComeInAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		l := newLibrary(t, d, Remote{})
		l.there.gate, l.there.came = make(chan struct{}), make(chan struct{}, maxFetches+8)
		for i := range maxFetches + 8 {
			l.there.files[fmt.Sprint(i)] = fmt.Sprint(i)
		}
		var wg sync.WaitGroup
		failed := make(chan error, maxFetches+8)
		for id := range l.there.files {
			wg.Go(func() {
				_, err := l.read(t, "there.test", id)
				failed <- err
			})
		}
		count := func() int {
			l.there.mu.Lock()
			defer l.there.mu.Unlock()
			return l.there.asked
		}
		for range maxFetches {
			<-l.there.came
		}
		l.Stop()
		wg.Wait()
		for range maxFetches + 8 {
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("after the stop: %v", err)
			}
		}
		if n := count(); n != maxFetches {
			t.Errorf("%d came in at a time", n)
		}
	})
}
