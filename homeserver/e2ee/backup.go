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

const (
	maxAuthData   = 32 << 10 // bytes of a version's auth_data
	maxBackedUp   = 16 << 10 // bytes of one key
	maxUpload     = 10_000   // keys in one request
	maxBackupKeys = 200_000  // keys in one version
	maxVersions   = 10       // that are not deleted
	partOfKeys    = 500      // that are read or written at once
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

// CreateBackup makes a new version, which is the current one from then on.
func (e *Engine) CreateBackup(ctx context.Context, user, algorithm string, authData json.RawMessage) (version string, err error) {
	if err := checkBackup(algorithm, authData); err != nil {
		return "", err
	}
	var deleted []int64
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		deleted = nil
		all, err := store.KeyBackups(tx, user)
		if err != nil {
			return err
		}
		next := int64(1)
		for _, b := range all {
			next = b.Version + 1
			if b.Deleted {
				deleted = append(deleted, b.Version)
			}
		}
		if len(all)-len(deleted) >= maxVersions {
			return mxerr.New(mxerr.TooLarge, "You have %d key backups; delete one first", maxVersions)
		}
		version = strconv.FormatInt(next, 10)
		return store.SetKeyBackup(tx, store.KeyBackup{User: user, Version: next, Algorithm: algorithm, AuthData: authData})
	})
	if err != nil {
		return "", err
	}
	for _, v := range deleted { // to finish what a crash may have left
		if err := e.purge(ctx, user, v); err != nil {
			return "", err
		}
	}
	return version, nil
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

// DeleteBackup removes a version and all its keys. Deleting it again is fine.
func (e *Engine) DeleteBackup(ctx context.Context, user, version string) error {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n < 1 {
		return errNoBackup()
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		last, err := store.LastBackupVersion(tx, user)
		if err == nil && n > last {
			err = errNoBackup()
		}
		if err != nil {
			return err
		}
		b, err := store.KeyBackupByVersion(tx, user, n)
		if err == db.ErrNoRow {
			return nil // deleted long ago
		}
		if err != nil {
			return err
		}
		b.Deleted, b.N, b.AuthData = true, 0, []byte(`{}`)
		return store.SetKeyBackup(tx, b)
	})
	if err != nil {
		return err
	}
	return e.purge(ctx, user, n)
}

// purge removes the keys of a deleted version, a part at a time: others write
// between the parts. What it does not finish, the next version's making does.
func (e *Engine) purge(ctx context.Context, user string, version int64) error {
	for {
		var n int64
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if n, err = store.DeleteBackedUpKeys(tx, user, version, "", "", partOfKeys); err != nil || n == partOfKeys {
				return err
			}
			return store.DeleteKeyBackup(tx, user, version)
		})
		if err != nil || n < partOfKeys {
			return err
		}
	}
}

// DeleteBackups removes all versions of a user whose account is closed.
func (e *Engine) DeleteBackups(ctx context.Context, user string) error {
	all, err := read(ctx, e.DB, func(tx *db.Tx) ([]store.KeyBackup, error) { return store.KeyBackups(tx, user) })
	for _, b := range all {
		if err := e.DeleteBackup(ctx, user, strconv.FormatInt(b.Version, 10)); err != nil {
			return err
		}
	}
	return err
}
