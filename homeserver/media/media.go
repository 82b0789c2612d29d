// Package media keeps the files that users upload, makes small pictures of them,
// and looks at web pages that people talk about. It does not know what clients
// do with them, nor HTTP towards clients.
package media

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"hearth/base/blob"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB     *db.DB
	Blobs  blob.Store
	Server mxid.ServerName
	// UserQuota bounds the bytes that a user may keep here, 0 for no bound.
	UserQuota int64
	// AboutLimits is a page for those who reach that bound.
	AboutLimits string
	// Fetch asks another server for a file of at most so many bytes, for whose
	// upload that one waits for a time. Its errors, and those of reading the file,
	// are shown. Nil for a server that is alone.
	Fetch  func(ctx context.Context, origin mxid.ServerName, id string, wait time.Duration, most int64) (*Incoming, error)
	Remote Remote
	Log    *slog.Logger
}

const (
	// waitsFor is how long an id that was made ahead waits for its upload.
	waitsFor = 24 * time.Hour
	// maxPending bounds the ids of a user that wait.
	maxPending = 100
	// maxWait bounds how long a reader waits for an upload.
	maxWait = time.Minute
	// usedEvery is how exactly it is known when a file was last looked at.
	usedEvery = 24 * time.Hour
	// maxName bounds the name of a file, in bytes.
	maxName = 255
)

// Engine keeps files.
type Engine struct {
	Config

	holds holds
	// drawing is held by who makes a thumbnail: a picture may take much memory.
	drawing chan struct{}
	copies  *copies

	mu      sync.Mutex
	waiting map[string][]chan struct{} // by id, closed when the upload is there
}

// New returns an Engine. Copies of other servers' files go between Start and Stop.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		Config: c, holds: holds{of: map[string]*hold{}}, drawing: make(chan struct{}, 1), waiting: map[string][]chan struct{}{}, copies: newCopies(),
	}
}

// File is a file that somebody looks at. The reader closes Content.
type File struct {
	Type, Name string
	Size       int64
	Created    time.Time
	Hash       string
	Content    io.ReadSeekCloser
}

// Upload is a file as it comes in.
type Upload struct {
	User, Type, Name string
	Content          io.Reader
}

// Add stores a file and returns its id. Errors: those of Content, M_TOO_LARGE for
// a name of too many bytes, M_USER_LIMIT_EXCEEDED for a user with too many bytes.
func (e *Engine) Add(ctx context.Context, u Upload) (id string, err error) {
	id = mxid.RandomString(24)
	m := store.Media{Origin: string(e.Server), ID: id, User: u.User, Created: time.Now().UnixMilli()}
	return id, e.add(ctx, u, m)
}

// add stores the bytes and then the row: a row never lacks its bytes.
func (e *Engine) add(ctx context.Context, u Upload, m store.Media) error {
	if len(u.Name) > maxName || len(u.Type) > maxName {
		return mxerr.New(mxerr.TooLarge, "The name or the type of the file is longer than %d bytes", maxName)
	}
	err := e.DB.Read(ctx, func(tx *db.Tx) error { return e.hasRoom(tx, u.User, 0) })
	if err != nil {
		return err
	}
	draft, err := e.Blobs.Write(ctx, u.Content)
	if err != nil {
		return err
	}
	defer draft.Discard()
	m.Type, m.Name, m.Size, m.Hash, m.Expires, m.Used = u.Type, u.Name, draft.Size, draft.Name, 0, time.Now().UnixMilli()
	err = e.keep(ctx, draft, func(tx *db.Tx) error {
		old, err := store.MediaByID(tx, m.Origin, m.ID)
		if err == nil && old.Hash != "" {
			return errOverwrite()
		}
		if err != nil && !errors.Is(err, db.ErrNoRow) {
			return err
		}
		if err := e.hasRoom(tx, u.User, m.Size); err != nil {
			return err
		}
		if err := quarantineSame(tx, &m); err != nil {
			return err
		}
		tx.AfterCommit(func() { e.arrived(m.ID) })
		return store.SetMedia(tx, m)
	})
	if err != nil {
		err = errors.Join(err, e.drop(context.WithoutCancel(ctx), draft.Name))
	}
	return err
}

// quarantineSame hides a new file of bytes that are hidden: what an operator has
// locked away does not come back by another name.
func quarantineSame(tx *db.Tx, m *store.Media) error {
	bad, err := store.QuarantinedHash(tx, m.Hash)
	if err != nil || !bad {
		return err
	}
	m.QuarantinedBy = "the same bytes were quarantined before"
	return store.AddQuarantineChange(tx, store.QuarantineChange{Pos: tx.NextPos(), Origin: m.Origin, ID: m.ID, Quarantined: true})
}

func errOverwrite() error {
	return mxerr.New(mxerr.CannotOverwriteMedia, "There is a file by this id already").WithStatus(409)
}

// hasRoom checks that a user may keep so many more bytes
// (client-server-api/#other-error-codes, M_USER_LIMIT_EXCEEDED).
func (e *Engine) hasRoom(tx *db.Tx, user string, size int64) error {
	if e.UserQuota == 0 {
		return nil
	}
	sum, err := store.SumMediaOf(tx, user)
	if err != nil || sum.Size+size <= e.UserQuota {
		return err
	}
	full := mxerr.New(mxerr.UserLimitExceeded, "Your files may have %d bytes in all, and have %d", e.UserQuota, sum.Size)
	full.Fields = map[string]any{"info_uri": e.AboutLimits}
	return full
}

// Create makes an id that waits for its upload
// (client-server-api/#post_matrixmediav1create). M_LIMIT_EXCEEDED if too many of
// the user's wait.
func (e *Engine) Create(ctx context.Context, user string) (id string, expires time.Time, err error) {
	now := time.Now()
	expires = now.Add(waitsFor)
	id = mxid.RandomString(24)
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.DeleteExpiredMedia(tx, now.UnixMilli()); err != nil {
			return err
		}
		n, err := store.CountPendingMedia(tx, user, now.UnixMilli())
		if err != nil {
			return err
		}
		if n >= maxPending {
			return mxerr.New(mxerr.LimitExceeded, "%d of your uploads have not come yet: finish those first", n)
		}
		return store.SetMedia(tx, store.Media{Origin: string(e.Server), ID: id, User: user, Created: now.UnixMilli(), Expires: expires.UnixMilli()})
	})
	return id, expires, err
}

// AddTo stores the file of an id that the user has made before. Errors are those
// of Add and M_CANNOT_OVERWRITE_MEDIA, M_FORBIDDEN for other people's ids,
// M_NOT_FOUND for ids that are not there or too old.
func (e *Engine) AddTo(ctx context.Context, origin, id string, u Upload) error {
	m, err := e.row(ctx, origin, id)
	switch {
	case err != nil:
		return err
	case m.User != u.User:
		return mxerr.New(mxerr.Forbidden, "Somebody else made this id")
	case m.Hash != "":
		return errOverwrite()
	}
	return e.add(ctx, u, m)
}

// row returns a file, or an id that waits and is not too old.
func (e *Engine) row(ctx context.Context, origin, id string) (m store.Media, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		m, err = store.MediaByID(tx, origin, id)
		return err
	})
	if errors.Is(err, db.ErrNoRow) || errors.Is(err, db.ErrText) || err == nil && m.Hash == "" && m.Expires <= time.Now().UnixMilli() {
		return m, errNotFound()
	}
	return m, err
}

func errNotFound() error { return mxerr.New(mxerr.NotFound, "There is no such file") }

// Want says which file somebody wants to see.
type Want struct {
	Origin, ID string
	Wait       time.Duration // how long at most for a file that is to be uploaded
	// Fetch is asked before another server is asked for its file, and may refuse
	// it. Nil for what is here only.
	Fetch func() error
}

// Open returns a file. Errors: M_NOT_FOUND, also for what was quarantined,
// M_NOT_YET_UPLOADED, those of Config.Fetch and Want.Fetch.
func (e *Engine) Open(ctx context.Context, w Want) (f *File, err error) {
	err = e.show(ctx, w, func(m store.Media) error {
		f, err = e.open(ctx, m)
		return err
	})
	return f, err
}

// show finds a file and shows it to f. A copy that lost its bytes meanwhile is
// fetched again.
func (e *Engine) show(ctx context.Context, w Want, f func(m store.Media) error) error {
	m, err := e.find(ctx, w)
	if err != nil {
		return err
	}
	if err = f(m); !errors.Is(err, blob.ErrNotFound) || m.Origin == string(e.Server) {
		return err
	}
	if _, err := e.Delete(ctx, []Info{m}); err != nil {
		return err
	}
	if m, err = e.find(ctx, w); err != nil {
		return err
	}
	return f(m)
}

func (e *Engine) open(ctx context.Context, m store.Media) (*File, error) {
	f, err := e.Blobs.Open(ctx, m.Hash)
	return &File{Type: m.Type, Name: m.Name, Size: m.Size, Created: time.UnixMilli(m.Created), Hash: m.Hash, Content: f}, err
}

// find returns the row of a file that may be shown.
func (e *Engine) find(ctx context.Context, w Want) (m store.Media, err error) {
	if w.Origin == string(e.Server) {
		m, err = e.await(ctx, w)
	} else {
		m, err = e.copyOf(ctx, w)
	}
	if err != nil {
		return m, err
	}
	if m.QuarantinedBy != "" {
		return m, errNotFound()
	}
	return m, e.looked(ctx, m)
}

// await returns the row of a file of this server, when it is there.
func (e *Engine) await(ctx context.Context, w Want) (store.Media, error) {
	there := e.arrival(w.ID)
	defer e.leave(w.ID, there)
	m, err := e.row(ctx, w.Origin, w.ID)
	if err != nil || m.Hash != "" {
		return m, err
	}
	timeout := time.NewTimer(min(w.Wait, maxWait))
	defer timeout.Stop()
	select {
	case <-there:
		return e.row(ctx, w.Origin, w.ID)
	case <-timeout.C:
		return m, mxerr.New(mxerr.NotYetUploaded, "The file has not been uploaded yet").WithStatus(504)
	case <-ctx.Done():
		return m, ctx.Err()
	}
}

// looked notes that a file is in use.
func (e *Engine) looked(ctx context.Context, m store.Media) error {
	now := time.Now()
	every := usedEvery
	if m.Origin != string(e.Server) {
		every = copyUsedEvery
	}
	if now.Sub(time.UnixMilli(m.Used)) < every {
		return nil
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error { return store.MediaUsed(tx, m.Origin, m.ID, now.UnixMilli()) })
}

// arrival returns a channel that is closed when the upload of an id is there.
func (e *Engine) arrival(id string) chan struct{} {
	ch := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[id] = append(e.waiting[id], ch)
	return ch
}

func (e *Engine) leave(id string, ch chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.waiting[id]
	for i := range list {
		if list[i] == ch {
			e.waiting[id] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(e.waiting[id]) == 0 {
		delete(e.waiting, id)
	}
}

// arrived wakes those who wait for an upload.
func (e *Engine) arrived(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ch := range e.waiting[id] {
		close(ch)
	}
	delete(e.waiting, id)
}
