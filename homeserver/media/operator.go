package media

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// What operators do with files.

// Info is what an operator sees of a file.
type Info = store.Media

// Info returns a file, quarantined or not, or M_NOT_FOUND.
func (e *Engine) Info(ctx context.Context, origin, id string) (Info, error) {
	return e.row(ctx, origin, id)
}

// OfUser returns a page of a user's files, and how many there are.
func (e *Engine) OfUser(ctx context.Context, p store.MediaPage) (page []Info, total int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		sum, err := store.SumMediaOf(tx, p.User)
		if err != nil {
			return err
		}
		total = sum.Count
		page, err = store.MediaOf(tx, p)
		return err
	})
	return page, total, err
}

// Sums are what the files of each user come to, a page of them, and how many users
// there are.
func (e *Engine) Sums(ctx context.Context, q store.MediaSumQuery) (page []store.MediaSums, total int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		page, total, err = store.SumMedia(tx, q)
		return err
	})
	return page, total, err
}

// Delete removes files with their thumbnails, and the bytes that nothing else is
// made of. It returns the ids of those that were there.
func (e *Engine) Delete(ctx context.Context, files []Info) (ids []string, err error) {
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
			if err := e.drop(ctx, hash); err != nil {
				return ids, err
			}
		}
	}
	return ids, nil
}

// deleteFile removes the rows of a file and returns the bytes that are left over,
// which it notes as litter.
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
		if used {
			continue
		}
		if err := store.AddLitter(tx, hash); err != nil {
			return nil, err
		}
		unused = append(unused, hash)
	}
	return unused, nil
}

// deleteBatch bounds the files that one round of DeleteBefore looks at.
const deleteBatch = 1000

// DeleteBefore removes files that nobody has looked at since a time in ms and that
// have more than so many bytes: those of this server, or with remote the copies of
// others'. keepAvatars spares pictures that stand for a user or a room.
func (e *Engine) DeleteBefore(ctx context.Context, before, larger int64, remote, keepAvatars bool) (ids []string, err error) {
	keep := map[string]bool{}
	if keepAvatars {
		if keep, err = e.avatars(ctx); err != nil {
			return nil, err
		}
	}
	q := store.MediaAge{Origin: string(e.Server), Remote: remote, Before: before, Larger: larger, Limit: deleteBatch}
	for {
		var some []Info
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			some, err = store.MediaBefore(tx, q)
			return err
		})
		if err != nil || len(some) == 0 {
			return ids, err
		}
		q.After = some[len(some)-1]
		some = slices.DeleteFunc(some, func(m Info) bool { return keep["mxc://"+m.Origin+"/"+m.ID] })
		done, err := e.Delete(ctx, some)
		ids = append(ids, done...)
		if err != nil {
			return ids, err
		}
	}
}

// avatars are the addresses of pictures that stand for a user or a room.
func (e *Engine) avatars(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	err := e.DB.Read(ctx, func(tx *db.Tx) error {
		return store.Avatars(tx, func(event bool, raw []byte) error {
			var uri string
			if event {
				content, _ := canonjson.Get(raw, "content")
				uri, _ = canonjson.GetString(content, "url")
			} else if json.Unmarshal(raw, &uri) != nil {
				return nil // no address
			}
			all[uri] = true
			return nil
		})
	})
	return all, err
}

// Quarantine hides files and all of the same bytes from everybody, but for
// protected ones, or shows them again if by is "". It returns how many changed.
func (e *Engine) Quarantine(ctx context.Context, files []Info, by string) (n int, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		n = 0
		for _, m := range files {
			same, err := store.MediaOfHash(tx, m.Hash)
			if err != nil {
				return err
			}
			for _, now := range same {
				if m.Hash == "" || now.Protected && by != "" || (now.QuarantinedBy != "") == (by != "") {
					continue
				}
				now.QuarantinedBy = by
				if err := store.SetMedia(tx, now); err != nil {
					return err
				}
				change := store.QuarantineChange{Pos: tx.NextPos(), Origin: now.Origin, ID: now.ID, Quarantined: by != ""}
				if err := store.AddQuarantineChange(tx, change); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n, err
}

// QuarantineOne is Quarantine for one file. One of another server of which there is
// no copy is hidden before it comes. Other files are M_NOT_FOUND.
func (e *Engine) QuarantineOne(ctx context.Context, origin, id, by string) (n int, err error) {
	m, err := e.row(ctx, origin, id)
	if err == nil && m.Hash != "" {
		return e.Quarantine(ctx, []Info{m}, by)
	}
	absent := err != nil && mxerr.From(err).Code == mxerr.NotFound
	_, bad := mxid.ParseServerName(origin)
	switch {
	case err != nil && !absent:
		return 0, err
	case origin == string(e.Server), absent && by == "", bad != nil, !validID(id):
		return 0, errNotFound()
	case !absent && by != "":
		return 0, nil // it is hidden
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		change := store.QuarantineChange{Pos: tx.NextPos(), Origin: origin, ID: id, Quarantined: by != ""}
		if err := store.AddQuarantineChange(tx, change); err != nil {
			return err
		}
		if by == "" {
			return store.DeleteMedia(tx, origin, id)
		}
		now, err := store.MediaByID(tx, origin, id)
		if errors.Is(err, db.ErrNoRow) {
			now, err = Info{Origin: origin, ID: id, Created: time.Now().UnixMilli(), Expires: math.MaxInt64}, nil
		}
		if err != nil {
			return err
		}
		now.QuarantinedBy = by
		return store.SetMedia(tx, now)
	})
	return 1, err
}

// QuarantineChanges returns what was hidden and shown again behind a position,
// oldest first, and the position where that ends.
func (e *Engine) QuarantineChanges(ctx context.Context, after int64, limit int) (changes []store.QuarantineChange, next int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		changes, err = store.QuarantineChanges(tx, after, limit)
		return err
	})
	next = after
	if len(changes) > 0 {
		next = changes[len(changes)-1].Pos
	}
	return changes, next, err
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
