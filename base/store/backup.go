package store

import (
	"strconv"
	"strings"

	"hearth/base/db"
)

// KeyBackup is a version of a user's key backup.
type KeyBackup struct {
	User      string
	Version   int64
	Algorithm string
	AuthData  []byte // a JSON object
	ETag      int64  // changes when any key does
	N         int64  // keys
	Deleted   bool
}

func (b *KeyBackup) columns() []any {
	return []any{&b.User, &b.Version, &b.Algorithm, &b.AuthData, &b.ETag, &b.N, &b.Deleted}
}

const keyBackupColumns = `usr, version, algorithm, auth_data, etag, n, deleted`

// SetKeyBackup stores a version.
func SetKeyBackup(tx *db.Tx, b KeyBackup) error {
	return tx.Exec(`
		INSERT INTO key_backups (`+keyBackupColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (usr, version) DO UPDATE
		SET algorithm = excluded.algorithm, auth_data = excluded.auth_data, etag = excluded.etag, n = excluded.n, deleted = excluded.deleted`,
		b.User, b.Version, b.Algorithm, b.AuthData, b.ETag, b.N, b.Deleted)
}

// KeyBackupByVersion returns a version, deleted or not, or db.ErrNoRow.
func KeyBackupByVersion(tx *db.Tx, user string, version int64) (KeyBackup, error) {
	return db.One(tx, (*KeyBackup).columns, `SELECT `+keyBackupColumns+` FROM key_backups WHERE usr = $1 AND version = $2`, user, version)
}

// LatestKeyBackup returns the newest version that is not deleted, or db.ErrNoRow.
func LatestKeyBackup(tx *db.Tx, user string) (KeyBackup, error) {
	return db.One(tx, (*KeyBackup).columns, `
		SELECT `+keyBackupColumns+` FROM key_backups WHERE usr = $1 AND deleted = $2 ORDER BY version DESC LIMIT 1`, user, false)
}

// KeyBackups returns all versions of a user, the deleted ones too, the oldest
// first.
func KeyBackups(tx *db.Tx, user string) ([]KeyBackup, error) {
	return db.All(tx, (*KeyBackup).columns, `SELECT `+keyBackupColumns+` FROM key_backups WHERE usr = $1 ORDER BY version`, user)
}

// LastBackupVersion is the highest number a user's versions ever had.
func LastBackupVersion(tx *db.Tx, user string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COALESCE(MAX(version), 0) FROM key_backups WHERE usr = $1`, user)
}

// DeleteKeyBackup forgets a deleted version if it is not the user's newest, whose
// number must not come again.
func DeleteKeyBackup(tx *db.Tx, user string, version int64) error {
	return tx.Exec(`
		DELETE FROM key_backups WHERE usr = $1 AND version = $2 AND deleted = $3
		AND EXISTS (SELECT 1 FROM key_backups k WHERE k.usr = $1 AND k.version > $2)`, user, version, true)
}

// BackedUpKey is the backup of one room key.
type BackedUpKey struct {
	User          string
	Version       int64
	Room, Session string
	FirstIndex    int64
	Forwarded     int64
	Verified      bool
	Data          []byte // a JSON object
}

func (k *BackedUpKey) columns() []any {
	return []any{&k.User, &k.Version, &k.Room, &k.Session, &k.FirstIndex, &k.Forwarded, &k.Verified, &k.Data}
}

const backedUpKeyColumns = `usr, version, room, session, first_index, forwarded, verified, data`

// SetBackedUpKey stores a key in place of the one of the same session.
func SetBackedUpKey(tx *db.Tx, k BackedUpKey) error {
	return tx.Exec(`
		INSERT INTO backed_up_keys (`+backedUpKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (usr, version, room, session) DO UPDATE
		SET first_index = excluded.first_index, forwarded = excluded.forwarded, verified = excluded.verified, data = excluded.data`,
		k.User, k.Version, k.Room, k.Session, k.FirstIndex, k.Forwarded, k.Verified, k.Data)
}

// BackedUpKeys returns up to n keys of a version, or of one room in it ("" for
// all), that follow the one of a session, in the order of rooms and sessions.
func BackedUpKeys(tx *db.Tx, user string, version int64, room string, after [2]string, n int) ([]BackedUpKey, error) {
	query := `SELECT ` + backedUpKeyColumns + ` FROM backed_up_keys WHERE usr = $1 AND version = $2 AND (room, session) > ($3, $4)`
	args := []any{user, version, after[0], after[1]}
	if room != "" {
		query, args[2] = strings.Replace(query, `(room, session) > ($3, $4)`, `room = $3 AND session > $4`, 1), room
	}
	return db.All(tx, (*BackedUpKey).columns, query+` ORDER BY room, session LIMIT $5`, append(args, n)...)
}

// BackedUpKeysOf returns the keys of some sessions of a room.
func BackedUpKeysOf(tx *db.Tx, user string, version int64, room string, sessions []string) (all []BackedUpKey, err error) {
	err = db.In(sessions, 4, func(in string, args []any) error {
		some, err := db.All(tx, (*BackedUpKey).columns, `
			SELECT `+backedUpKeyColumns+` FROM backed_up_keys
			WHERE usr = $1 AND version = $2 AND room = $3 AND session IN (`+in+`)`, append([]any{user, version, room}, args...)...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// DeleteBackedUpKeys removes up to n keys of a version: of all of it, of a room, or
// of one session; "" stands for all. It says how many there were.
func DeleteBackedUpKeys(tx *db.Tx, user string, version int64, room, session string, n int) (int64, error) {
	where, args := `WHERE usr = $1 AND version = $2`, []any{user, version}
	if room != "" {
		where, args = where+` AND room = $3`, append(args, room)
	}
	if session != "" {
		return tx.ExecN(`DELETE FROM backed_up_keys `+where+` AND session = $4`, append(args, session)...)
	}
	type place struct{ room, session string }
	next, err := db.One(tx, func(p *place) []any { return []any{&p.room, &p.session} },
		`SELECT room, session FROM backed_up_keys `+where+` ORDER BY room, session LIMIT 1 OFFSET `+strconv.Itoa(n), args...)
	if err == db.ErrNoRow {
		return tx.ExecN(`DELETE FROM backed_up_keys `+where, args...)
	}
	if err != nil {
		return 0, err
	}
	at := len(args)
	return tx.ExecN(`DELETE FROM backed_up_keys `+where+` AND (room, session) < ($`+strconv.Itoa(at+1)+`, $`+strconv.Itoa(at+2)+`)`,
		append(args, next.room, next.session)...)
}
