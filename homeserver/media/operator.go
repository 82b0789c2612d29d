package media

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
)

// What operators do with files.

// Info is what an operator sees of a file.
type Info = store.Media

// Info returns a file, quarantined or not, or M_NOT_FOUND.
func (e *Engine) Info(ctx context.Context, origin, id string) (Info, error) {
	return e.row(ctx, origin, id)
}

// OfUser returns a page of a user's files, the newest first, and how many there
// are.
func (e *Engine) OfUser(ctx context.Context, user string, from, limit int) (page []Info, total int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		sum, err := store.SumMediaOf(tx, user)
		if err != nil {
			return err
		}
		total = sum.Count
		page, err = store.MediaOf(tx, user, from, limit)
		return err
	})
	return page, total, err
}

// Sums are what the files of each user come to.
func (e *Engine) Sums(ctx context.Context) (sums []store.MediaSums, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		sums, err = store.SumMedia(tx)
		return err
	})
	return sums, err
}

// Delete removes files with their thumbnails, and the bytes that nothing else is
// made of. It returns the ids of those that were there.
func (e *Engine) Delete(ctx context.Context, files []Info) (ids []string, err error) {
	e.keeping.Lock()
	defer e.keeping.Unlock()
	for _, m := range files {
		var unused []string
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			unused, err = deleteFile(tx, m)
			return err
		})
		if err != nil {
			return ids, err
		}
		ids = append(ids, m.ID)
		for _, hash := range unused {
			if err := e.Blobs.Delete(ctx, hash); err != nil {
				return ids, err
			}
		}
	}
	return ids, nil
}

// deleteFile removes the rows of a file and returns the bytes that are left over.
func deleteFile(tx *db.Tx, m Info) (unused []string, err error) {
	if err := store.DeleteMedia(tx, m.Origin, m.ID); err != nil {
		return nil, err
	}
	if again, err := store.MediaWithBytes(tx, m.Hash); err != nil || again {
		return nil, err
	}
	small, err := store.ThumbnailsOf(tx, m.Hash)
	if err != nil {
		return nil, err
	}
	if err := store.DeleteThumbnails(tx, m.Hash); err != nil {
		return nil, err
	}
	hashes := []string{m.Hash}
	for _, t := range small {
		hashes = append(hashes, t.Hash)
	}
	for _, hash := range hashes {
		used, err := store.BytesInUse(tx, hash)
		if err != nil {
			return nil, err
		}
		if !used {
			unused = append(unused, hash)
		}
	}
	return unused, nil
}

// deleteBatch bounds the files that one round of DeleteBefore removes.
const deleteBatch = 10_000

// DeleteBefore removes files of this server that nobody has looked at since a
// time (ms) and that have more than so many bytes. keep says which stay all the
// same.
func (e *Engine) DeleteBefore(ctx context.Context, before, larger int64, keep func(Info) bool) (ids []string, err error) {
	for {
		var some []Info
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			some, err = store.MediaBefore(tx, string(e.Server), before, larger, deleteBatch)
			return err
		})
		if err != nil {
			return ids, err
		}
		var gone []Info
		for _, m := range some {
			if !keep(m) {
				gone = append(gone, m)
			}
		}
		if len(gone) == 0 {
			return ids, nil
		}
		done, err := e.Delete(ctx, gone)
		ids = append(ids, done...)
		if err != nil {
			return ids, err
		}
	}
}

// Quarantine hides files from everybody, but for protected ones, or shows them
// again if by is "". It returns how many changed.
func (e *Engine) Quarantine(ctx context.Context, files []Info, by string) (n int, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		n = 0
		for _, m := range files {
			now, err := store.MediaByID(tx, m.Origin, m.ID)
			if err == db.ErrNoRow || err == nil && (now.Protected && by != "" || now.QuarantinedBy == by) {
				continue
			}
			if err != nil {
				return err
			}
			now.QuarantinedBy = by
			if err := store.SetMedia(tx, now); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// Protect keeps a file from quarantine, or not any more.
func (e *Engine) Protect(ctx context.Context, id string, protect bool) error {
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		m, err := store.MediaByID(tx, string(e.Server), id)
		if err == db.ErrNoRow {
			return errNotFound()
		}
		if err != nil {
			return err
		}
		m.Protected = protect
		return store.SetMedia(tx, m)
	})
}
