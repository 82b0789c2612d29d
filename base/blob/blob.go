// Package blob keeps bytes by what they are: each content once, in a folder or in
// a bucket of S3, by the name of its SHA-256. It knows no file names, users or media
// types.
package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrNotFound means that there are no bytes by that name.
var ErrNotFound = errors.New("no such blob")

// ErrFull means that the disk had no room for the bytes. Nothing of them was kept.
var ErrFull = errors.New("the disk is full")

// ErrAway means that the place where blobs are could not be reached.
var ErrAway = errors.New("the place for files cannot be reached")

// Store is where blobs are.
type Store interface {
	// Write takes all of r in. Nothing is left of what fails. The draft must be kept
	// or discarded.
	Write(ctx context.Context, r io.Reader) (*Draft, error)
	// Open opens the bytes of a name, which the caller closes; ErrNotFound if there
	// are none.
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
	// Delete removes the bytes of a name. It is no error if there are none.
	Delete(ctx context.Context, name string) error
}

// Dir is a folder of blobs.
type Dir struct{ root string }

const (
	hexLen = 2 * sha256.Size
	// oldTemp is the age at which a file that was never finished is litter.
	oldTemp = 24 * time.Hour
)

// Open returns the blobs in a folder, which is made if it is not there, and
// clears away what an earlier process left unfinished.
func Open(root string) (*Dir, error) {
	tmp := filepath.Join(root, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		return nil, err
	}
	for _, f := range left {
		if info, err := f.Info(); err == nil && time.Since(info.ModTime()) > oldTemp {
			_ = os.Remove(filepath.Join(tmp, f.Name())) // the next start tries again
		}
	}
	return &Dir{root}, nil
}

// Draft is bytes that are on disk and not kept yet.
type Draft struct {
	Name string // what the bytes are called
	Size int64

	tmp  string
	keep func(ctx context.Context, b *Draft) error
}

// Write is Store's.
func (d *Dir) Write(ctx context.Context, r io.Reader) (*Draft, error) {
	tmp := filepath.Join(d.root, "tmp", rand.Text())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, full(err)
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, hash), &careful{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(full(err), os.Remove(tmp))
	}
	return &Draft{Name: hex.EncodeToString(hash.Sum(nil)), Size: size, tmp: tmp, keep: d.keep}, nil
}

// Keep puts the bytes to where Open finds them, if they are not there already.
func (b *Draft) Keep(ctx context.Context) error {
	defer b.Discard()
	return b.keep(ctx, b)
}

// Discard forgets a draft that is not kept. It may be called at any time.
func (b *Draft) Discard() { _ = os.Remove(b.tmp) } // what stays is litter, which the next start clears away

// keep moves a finished file to where it belongs.
func (d *Dir) keep(_ context.Context, b *Draft) error {
	path := d.path(b.Name)
	if _, err := os.Stat(path); err == nil {
		return nil // these bytes are here already
	}
	dir := filepath.Dir(path)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Rename(b.tmp, path)
	}
	if err != nil {
		return full(err)
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// full makes of an error that the disk, or a quota on it, is full one that says so.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errors.Join(ErrFull, err)
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// careful stops reading when nobody waits for it any more.
type careful struct {
	ctx context.Context
	io.Reader
}

func (c *careful) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// Open is Store's.
func (d *Dir) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	if len(name) != hexLen {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Delete is Store's.
func (d *Dir) Delete(_ context.Context, name string) error {
	if len(name) != hexLen {
		return nil
	}
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// path spreads blobs over folders, so that none gets too full.
func (d *Dir) path(name string) string {
	return filepath.Join(d.root, name[:2], name[2:4], name)
}
