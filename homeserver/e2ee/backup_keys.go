package e2ee

import (
	"context"
	"encoding/json"
	"strconv"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Change is what is left of a version after keys were changed.
type Change struct {
	Count int64  `json:"count"`
	ETag  string `json:"etag"`
}

// BackedUpKey is the backup of one room key.
type BackedUpKey struct {
	FirstIndex *int64          `json:"first_message_index"`
	Forwarded  *int64          `json:"forwarded_count"`
	Verified   *bool           `json:"is_verified"`
	Data       json.RawMessage `json:"session_data"`
}

// BackedUpKeys are backups of keys by room and session.
type BackedUpKeys map[string]map[string]BackedUpKey

// BackUp stores keys in a version, which must be the current one. A key that is
// there is replaced only by a better one: verified, else from an earlier message,
// else forwarded less often.
//
// Errors: M_NOT_FOUND for no such version, M_WRONG_ROOM_KEYS_VERSION for one that
// is not current.
func (e *Engine) BackUp(ctx context.Context, user, version string, keys BackedUpKeys) (c Change, err error) {
	if err := checkKeys(keys); err != nil {
		return c, err
	}
	for _, part := range parts(keys) {
		if c, err = e.backUp(ctx, user, version, part); err != nil {
			return c, err
		}
	}
	return c, nil
}

// parts splits keys into what may be written at once: others write between the
// parts. There is one at least.
func parts(keys BackedUpKeys) (all []BackedUpKeys) {
	n := partOfKeys
	for room, sessions := range keys {
		for session, k := range sessions {
			if n == partOfKeys {
				all, n = append(all, BackedUpKeys{}), 0
			}
			part := all[len(all)-1]
			if part[room] == nil {
				part[room] = map[string]BackedUpKey{}
			}
			part[room][session] = k
			n++
		}
	}
	if all == nil {
		all = append(all, nil)
	}
	return all
}

func (e *Engine) backUp(ctx context.Context, user, version string, keys BackedUpKeys) (c Change, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		b, err := current(tx, user, version)
		if err != nil {
			return err
		}
		changed := false
		for room, sessions := range keys {
			n, some, err := putKeys(tx, b, room, sessions)
			if err != nil {
				return err
			}
			b.N += n
			changed = changed || some
		}
		if b.N > maxBackupKeys {
			return mxerr.New(mxerr.TooLarge, "A key backup may have %d keys", maxBackupKeys)
		}
		if changed {
			b.ETag++
			err = store.SetKeyBackup(tx, b)
		}
		c = Change{b.N, strconv.FormatInt(b.ETag, 10)}
		return err
	})
	return c, err
}

// current finds a version that keys may be written to.
func current(tx *db.Tx, user, version string) (store.KeyBackup, error) {
	b, err := findBackup(tx, user, version)
	if err != nil {
		return b, err
	}
	latest, err := store.LatestKeyBackup(tx, user)
	if err == nil && latest.Version != b.Version {
		wrong := mxerr.New(mxerr.WrongRoomKeysVersion, "The current version of the backup is %d", latest.Version)
		wrong.Fields = map[string]any{"current_version": strconv.FormatInt(latest.Version, 10)}
		return b, wrong
	}
	return b, err
}

func checkKeys(keys BackedUpKeys) error {
	n := 0
	for room, sessions := range keys {
		if room == "" || len(room) > 255 {
			return mxerr.New(mxerr.InvalidParam, "%.300q is not a room id", room)
		}
		for session, k := range sessions {
			n++
			switch {
			case session == "" || len(session) > 255:
				return mxerr.New(mxerr.InvalidParam, "%.300q is not a session id", session)
			case k.FirstIndex == nil || k.Forwarded == nil || k.Verified == nil || len(k.Data) == 0:
				return mxerr.New(mxerr.MissingParam, "The key of session %s lacks first_message_index, forwarded_count, is_verified or session_data", session)
			case *k.FirstIndex < 0 || *k.Forwarded < 0:
				return mxerr.New(mxerr.InvalidParam, "The key of session %s counts below 0", session)
			case !canonjson.IsObject(k.Data):
				return badJSON("session_data must be an object")
			case len(k.Data) > maxBackedUp:
				return mxerr.New(mxerr.TooLarge, "The key of session %s is more than %d bytes", session, maxBackedUp)
			}
		}
	}
	if n > maxUpload {
		return mxerr.New(mxerr.TooLarge, "More than %d keys at once", maxUpload)
	}
	return nil
}

// putKeys stores the keys of one room. It returns how many are new, and whether
// anything changed.
func putKeys(tx *db.Tx, b store.KeyBackup, room string, sessions map[string]BackedUpKey) (n int64, changed bool, err error) {
	names := make([]string, 0, len(sessions))
	for name := range sessions {
		names = append(names, name)
	}
	list, err := store.BackedUpKeysOf(tx, b.User, b.Version, room, names)
	if err != nil {
		return 0, false, err
	}
	have := map[string]store.BackedUpKey{}
	for _, k := range list {
		have[k.Session] = k
	}
	for name, k := range sessions {
		now := store.BackedUpKey{
			User: b.User, Version: b.Version, Room: room, Session: name,
			FirstIndex: *k.FirstIndex, Forwarded: *k.Forwarded, Verified: *k.Verified, Data: k.Data,
		}
		old, ok := have[name]
		if ok && !better(now, old) {
			continue
		}
		if !ok {
			n++
		}
		changed = true
		if err := store.SetBackedUpKey(tx, now); err != nil {
			return 0, false, err
		}
	}
	return n, changed, nil
}

// better: client-server-api/#backup-algorithm-mmegolm_backupv1curve25519-aes-sha2
func better(now, old store.BackedUpKey) bool {
	switch {
	case now.Verified != old.Verified:
		return now.Verified
	case now.FirstIndex != old.FirstIndex:
		return now.FirstIndex < old.FirstIndex
	case now.Forwarded != old.Forwarded:
		return now.Forwarded < old.Forwarded
	}
	return false
}

// BackedUp returns the key of a session. The error is M_NOT_FOUND for no such
// version and for no such key.
func (e *Engine) BackedUp(ctx context.Context, user, version, room, session string) (BackedUpKey, error) {
	return read(ctx, e.DB, func(tx *db.Tx) (BackedUpKey, error) {
		b, err := findBackup(tx, user, version)
		if err != nil {
			return BackedUpKey{}, err
		}
		list, err := store.BackedUpKeysOf(tx, user, b.Version, room, []string{session})
		if err == nil && len(list) == 0 {
			err = mxerr.New(mxerr.NotFound, "The backup has no key for this session")
		}
		if err != nil {
			return BackedUpKey{}, err
		}
		return backedUpKey(list[0]), nil
	})
}

func backedUpKey(k store.BackedUpKey) BackedUpKey {
	return BackedUpKey{&k.FirstIndex, &k.Forwarded, &k.Verified, k.Data}
}

// EachBackedUp calls f with all keys of a version, or of one room in it ("" for
// all), in the order of rooms. There may be more than memory should hold, and f
// may take its time: it is given a part at a time, and what is written meanwhile
// may be among them or not. The error is M_NOT_FOUND for no such version.
func (e *Engine) EachBackedUp(ctx context.Context, user, version, room string, f func(room, session string, k BackedUpKey) error) error {
	var after [2]string
	for {
		list, err := read(ctx, e.DB, func(tx *db.Tx) ([]store.BackedUpKey, error) {
			b, err := findBackup(tx, user, version)
			if err != nil {
				return nil, err
			}
			return store.BackedUpKeys(tx, user, b.Version, room, after, partOfKeys)
		})
		if err != nil {
			return err
		}
		for _, k := range list {
			if err := f(k.Room, k.Session, backedUpKey(k)); err != nil {
				return err
			}
			after = [2]string{k.Room, k.Session}
		}
		if len(list) < partOfKeys {
			return nil
		}
	}
}

// DeleteKeys removes keys of a version: all of it, of a room, or of one session;
// "" stands for all.
func (e *Engine) DeleteKeys(ctx context.Context, user, version, room, session string) (c Change, err error) {
	for {
		var n int64
		err := e.DB.Write(ctx, func(tx *db.Tx) error {
			b, err := findBackup(tx, user, version)
			if err != nil {
				return err
			}
			if n, err = store.DeleteBackedUpKeys(tx, user, b.Version, room, session, partOfKeys); err != nil {
				return err
			}
			if n > 0 {
				b.N, b.ETag = b.N-n, b.ETag+1
				err = store.SetKeyBackup(tx, b)
			}
			c = Change{b.N, strconv.FormatInt(b.ETag, 10)}
			return err
		})
		if err != nil || n < partOfKeys {
			return c, err
		}
	}
}
