package media

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"

	"golang.org/x/sync/singleflight"
)

// Copies of other servers' files: they come when somebody wants to see them, and
// go when nobody has for long, or when others need the room.

// Remote bounds the copies.
type Remote struct {
	MaxFile   int64         // bytes of one
	CacheSize int64         // bytes of all, 0 for any amount
	CacheAge  time.Duration // since somebody looked, 0 for ever
}

const (
	// copyUsedEvery is how exactly it is known when a copy was last looked at.
	copyUsedEvery = time.Hour
	// maxFetches bounds the files that come in at a time.
	maxFetches = 32
	// maxTurn is how long a fetch waits for its turn.
	maxTurn = 30 * time.Second
	// maxMediaID bounds the ids of other servers' files, in bytes.
	maxMediaID = 255
)

// Incoming is a file of another server as it comes in.
type Incoming struct {
	Type, Name string // as that server says, maybe nonsense
	Content    io.ReadCloser
}

// copies is what an Engine knows of its copies.
type copies struct {
	life    context.Context // ends with the engine
	end     context.CancelFunc
	flight  singleflight.Group
	slots   chan struct{}
	full    chan struct{} // has something when there may be too many
	running sync.WaitGroup
	stop    sync.Once

	mu   sync.Mutex
	size int64 // bytes; since the last look only what came, before the first one
}

func newCopies() *copies {
	c := &copies{slots: make(chan struct{}, maxFetches), full: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// copyOf returns the row of another server's file, which it fetches if need be.
func (e *Engine) copyOf(ctx context.Context, w Want) (store.Media, error) {
	m, err := e.row(ctx, w.Origin, w.ID)
	if err == nil || mxerr.From(err).Code != mxerr.NotFound || e.Fetch == nil || w.Fetch == nil {
		return m, err
	}
	if _, err := mxid.ParseServerName(w.Origin); err != nil || !validID(w.ID) {
		return m, errNotFound()
	}
	if err := w.Fetch(); err != nil {
		return m, err
	}
	end := time.Now().Add(min(w.Wait, maxWait))
	for again := true; ; again = false {
		w.Wait = max(time.Until(end), 0)
		// Who asks first may go away: others wait for the same file.
		ch := e.copies.flight.DoChan(w.Origin+"/"+w.ID, func() (any, error) {
			return contain.Value(func() (store.Media, error) { return e.fetch(w) })
		})
		select {
		case res := <-ch:
			if early := mxerr.From(res.Err).Code == mxerr.NotYetUploaded; early && res.Shared && again && time.Until(end) > time.Second {
				continue // somebody else did not want to wait as long
			}
			return res.Val.(store.Media), res.Err
		case <-ctx.Done():
			return m, ctx.Err()
		}
	}
}

// validID: client-server-api/#content-repo-security-considerations
func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return id != "" && len(id) <= maxMediaID
}

// fetch brings a file here. Nobody sees any of it before all of it is here: only
// then it is known whether an operator has hidden these bytes.
func (e *Engine) fetch(w Want) (m store.Media, err error) {
	c := e.copies
	turn := time.NewTimer(maxTurn)
	defer turn.Stop()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
		if err := c.life.Err(); err != nil {
			return m, err
		}
	case <-turn.C:
		return m, mxerr.New(mxerr.LimitExceeded, "Too many files come in: try again")
	case <-c.life.Done():
		return m, c.life.Err()
	}
	// It may have come since somebody did not find it.
	if m, err := e.row(c.life, w.Origin, w.ID); err == nil {
		return m, nil
	}
	in, err := e.Fetch(c.life, mxid.ServerName(w.Origin), w.ID, w.Wait, e.Remote.MaxFile)
	if err != nil {
		return m, err
	}
	draft, err := e.Blobs.Write(c.life, in.Content)
	_ = in.Content.Close() // all of it is here, or the error is told
	if err != nil {
		return m, err
	}
	defer draft.Discard()
	now := time.Now().UnixMilli()
	m = store.Media{
		Origin: w.Origin, ID: w.ID, Fetched: true, Created: now, Used: now, Type: header(in.Type), Name: header(in.Name), Size: draft.Size, Hash: draft.Name,
	}
	if m.Type == "" {
		m.Type = "application/octet-stream"
	}
	err = e.keep(c.life, draft, func(tx *db.Tx) error {
		now, err := store.MediaByID(tx, m.Origin, m.ID)
		if err != nil && !errors.Is(err, db.ErrNoRow) {
			return err
		}
		// An operator may have hidden it while it came.
		if m.QuarantinedBy = now.QuarantinedBy; m.QuarantinedBy == "" {
			if err := quarantineSame(tx, &m); err != nil {
				return err
			}
		}
		return store.SetMedia(tx, m)
	})
	if err == nil {
		e.grown(m.Size)
	}
	return m, err
}

// header is what a stranger says of a file, "" if that cannot be repeated.
func header(s string) string {
	if len(s) > maxName || strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return strings.ToValidUTF8(s, "")
}
