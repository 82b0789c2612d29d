package e2ee

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

const (
	maxAuthData   = 32 << 10 // bytes of a version's auth_data
	maxBackedUp   = 16 << 10 // bytes of one key
	maxUpload     = 10_000   // keys in one request
	maxBackupKeys = 200_000  // keys in one version
)

// Backup is a version of a user's key backup
// (client-server-api/#server-side-key-backups).
type Backup struct {
	Algorithm string          `json:"algorithm"`
	AuthData  json.RawMessage `json:"auth_data"`
	Count     int64           `json:"count"`
	ETag      string          `json:"etag"`
	Version   string          `json:"version"`
}

func backupOf(b store.KeyBackup) Backup {
	return Backup{b.Algorithm, b.AuthData, b.N, strconv.FormatInt(b.ETag, 10), strconv.FormatInt(b.Version, 10)}
}

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

// CreateBackup makes a new version, which is the current one from then on.
func (e *Engine) CreateBackup(ctx context.Context, user, algorithm string, authData json.RawMessage) (version string, err error) {
	if err := checkBackup(algorithm, authData); err != nil {
		return "", err
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		last, err := store.LastBackupVersion(tx, user)
		if err != nil {
			return err
		}
		version = strconv.FormatInt(last+1, 10)
		return store.SetKeyBackup(tx, store.KeyBackup{User: user, Version: last + 1, Algorithm: algorithm, AuthData: authData})
	})
	return version, err
}

func checkBackup(algorithm string, authData json.RawMessage) error {
	switch {
	case algorithm == "":
		return mxerr.New(mxerr.MissingParam, "algorithm is missing")
	case len(authData) == 0:
		return mxerr.New(mxerr.MissingParam, "auth_data is missing")
	case !canonjson.IsObject(authData):
		return badJSON("auth_data must be an object")
	case len(authData) > maxAuthData || len(algorithm) > 255:
		return mxerr.New(mxerr.TooLarge, "auth_data is more than %d bytes, or algorithm more than 255", maxAuthData)
	}
	return nil
}

// Backup returns a version, the current one for "". Without it the error is
// M_NOT_FOUND.
func (e *Engine) Backup(ctx context.Context, user, version string) (Backup, error) {
	b, err := read(ctx, e.DB, func(tx *db.Tx) (store.KeyBackup, error) { return findBackup(tx, user, version) })
	return backupOf(b), err
}

func findBackup(tx *db.Tx, user, version string) (b store.KeyBackup, err error) {
	if version == "" {
		b, err = store.LatestKeyBackup(tx, user)
	} else {
		n, perr := strconv.ParseInt(version, 10, 64)
		if perr != nil {
			return b, errNoBackup()
		}
		b, err = store.KeyBackupByVersion(tx, user, n)
	}
	if err == db.ErrNoRow || err == nil && b.Deleted {
		return store.KeyBackup{}, errNoBackup()
	}
	return b, err
}

func errNoBackup() error {
	return mxerr.New(mxerr.NotFound, "There is no such version of a key backup")
}

// SetAuthData replaces the auth_data of a version. The algorithm stays, and
// bodyVersion, if there is one, must be the version.
func (e *Engine) SetAuthData(ctx context.Context, user, version, bodyVersion, algorithm string, authData json.RawMessage) error {
	if bodyVersion != "" && bodyVersion != version {
		return mxerr.New(mxerr.InvalidParam, "The version in the body is not the one in the path")
	}
	if err := checkBackup(algorithm, authData); err != nil {
		return err
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		b, err := findBackup(tx, user, version)
		if err != nil {
			return err
		}
		if b.Algorithm != algorithm {
			return mxerr.New(mxerr.InvalidParam, "The algorithm of a backup cannot change; it is %s", b.Algorithm)
		}
		b.AuthData = authData
		return store.SetKeyBackup(tx, b)
	})
}

// DeleteBackup removes a version and all its keys.
func (e *Engine) DeleteBackup(ctx context.Context, user, version string) error {
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		b, err := findBackup(tx, user, version)
		if err != nil {
			return err
		}
		b.Deleted, b.N = true, 0
		if _, err := store.DeleteBackedUpKeys(tx, user, b.Version, "", ""); err != nil {
			return err
		}
		return store.SetKeyBackup(tx, b)
	})
}

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
			return mxerr.New(mxerr.LimitExceeded, "A key backup may have %d keys", maxBackupKeys)
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

// BackedUp returns the keys of a version: all of it, of a room, or of one
// session; "" stands for all. The error is M_NOT_FOUND for no such version.
func (e *Engine) BackedUp(ctx context.Context, user, version, room, session string) (BackedUpKeys, error) {
	out := BackedUpKeys{}
	rows, err := read(ctx, e.DB, func(tx *db.Tx) ([]store.BackedUpKey, error) {
		b, err := findBackup(tx, user, version)
		if err != nil {
			return nil, err
		}
		return store.BackedUpKeys(tx, user, b.Version, room, session)
	})
	for _, k := range rows {
		if out[k.Room] == nil {
			out[k.Room] = map[string]BackedUpKey{}
		}
		out[k.Room][k.Session] = BackedUpKey{&k.FirstIndex, &k.Forwarded, &k.Verified, bytes.Clone(k.Data)}
	}
	return out, err
}

// DeleteKeys removes the keys that BackedUp would return.
func (e *Engine) DeleteKeys(ctx context.Context, user, version, room, session string) (c Change, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		b, err := findBackup(tx, user, version)
		if err != nil {
			return err
		}
		n, err := store.DeleteBackedUpKeys(tx, user, b.Version, room, session)
		if err != nil {
			return err
		}
		if n > 0 {
			b.N, b.ETag = b.N-n, b.ETag+1
			err = store.SetKeyBackup(tx, b)
		}
		c = Change{b.N, strconv.FormatInt(b.ETag, 10)}
		return err
	})
	return c, err
}
