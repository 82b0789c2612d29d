package store

import "hearth/base/db"

// DeviceKeys are the identity keys of a device.
type DeviceKeys struct {
	User, Device string
	Keys         []byte // canonical JSON
}

func (k *DeviceKeys) columns() []any { return []any{&k.User, &k.Device, &k.Keys} }

// SetDeviceKeys stores the keys of a device in place of older ones.
func SetDeviceKeys(tx *db.Tx, k DeviceKeys) error {
	return tx.Exec(`
		INSERT INTO device_keys (usr, device, keys) VALUES ($1, $2, $3)
		ON CONFLICT (usr, device) DO UPDATE SET keys = excluded.keys`, k.User, k.Device, k.Keys)
}

// DeviceKeysOf returns the keys of a device, or db.ErrNoRow.
func DeviceKeysOf(tx *db.Tx, user, device string) (DeviceKeys, error) {
	return db.One(tx, (*DeviceKeys).columns, `SELECT usr, device, keys FROM device_keys WHERE usr = $1 AND device = $2`, user, device)
}

// DeviceKeysOfUsers returns the keys of all devices of some users.
func DeviceKeysOfUsers(tx *db.Tx, users []string) (all []DeviceKeys, err error) {
	err = db.In(users, 1, func(in string, args []any) error {
		some, err := db.All(tx, (*DeviceKeys).columns, `SELECT usr, device, keys FROM device_keys WHERE usr IN (`+in+`) ORDER BY usr, device`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// DeleteKeysOfDevice removes all keys of a device, what was signed about it, and
// what it signed of its user. It reports whether others could see any.
func DeleteKeysOfDevice(tx *db.Tx, user, device string) (bool, error) {
	for _, table := range []string{"one_time_keys", "fallback_keys"} {
		if err := tx.Exec(`DELETE FROM `+table+` WHERE usr = $1 AND device = $2`, user, device); err != nil {
			return false, err
		}
	}
	err := tx.Exec(`
		DELETE FROM key_signatures WHERE usr = $1 AND (target = $2 OR (signer = $1 AND signer_key = $3))`, user, device, "ed25519:"+device)
	if err != nil {
		return false, err
	}
	n, err := tx.ExecN(`DELETE FROM device_keys WHERE usr = $1 AND device = $2`, user, device)
	return n > 0, err
}

// OneTimeKey is a key that is given away once, or a fallback key.
type OneTimeKey struct {
	User, Device, Algorithm, ID string
	Pos                         int64
	Key                         []byte // a JSON string or object
	Used                        bool   // fallback keys only
}

// AddOneTimeKey stores a key behind those that are there.
func AddOneTimeKey(tx *db.Tx, k OneTimeKey) error {
	return tx.Exec(`
		INSERT INTO one_time_keys (usr, device, algorithm, pos, key_id, key) VALUES ($1, $2, $3, $4, $5, $6)`,
		k.User, k.Device, k.Algorithm, k.Pos, k.ID, k.Key)
}

// OneTimeKeys returns the keys of a device that are left.
func OneTimeKeys(tx *db.Tx, user, device string) ([]OneTimeKey, error) {
	return db.All(tx, func(k *OneTimeKey) []any { return []any{&k.Algorithm, &k.ID, &k.Pos, &k.Key} }, `
		SELECT algorithm, key_id, pos, key FROM one_time_keys WHERE usr = $1 AND device = $2 ORDER BY algorithm, pos`, user, device)
}

// FirstOneTimeKey returns the key that came first, or db.ErrNoRow.
func FirstOneTimeKey(tx *db.Tx, user, device, algorithm string) (OneTimeKey, error) {
	k, err := db.One(tx, func(k *OneTimeKey) []any { return []any{&k.ID, &k.Pos, &k.Key} }, `
		SELECT key_id, pos, key FROM one_time_keys WHERE usr = $1 AND device = $2 AND algorithm = $3 ORDER BY pos LIMIT 1`,
		user, device, algorithm)
	k.User, k.Device, k.Algorithm = user, device, algorithm
	return k, err
}

// TakeOneTimeKey removes a key. It reports false if somebody else has it.
func TakeOneTimeKey(tx *db.Tx, k OneTimeKey) (bool, error) {
	n, err := tx.ExecN(`
		DELETE FROM one_time_keys WHERE usr = $1 AND device = $2 AND algorithm = $3 AND pos = $4`, k.User, k.Device, k.Algorithm, k.Pos)
	return n == 1, err
}

// KeyCount is how many keys of an algorithm are left.
type KeyCount struct {
	Algorithm string
	N         int64
}

// CountOneTimeKeys counts the keys of a device that are left.
func CountOneTimeKeys(tx *db.Tx, user, device string) ([]KeyCount, error) {
	return db.All(tx, func(c *KeyCount) []any { return []any{&c.Algorithm, &c.N} }, `
		SELECT algorithm, COUNT(*) FROM one_time_keys WHERE usr = $1 AND device = $2 GROUP BY algorithm ORDER BY algorithm`, user, device)
}

// SetFallbackKey stores a fallback key in place of the one before, unused. The
// same key again stays used.
func SetFallbackKey(tx *db.Tx, k OneTimeKey) error {
	return tx.Exec(`
		INSERT INTO fallback_keys (usr, device, algorithm, key_id, key, used) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (usr, device, algorithm) DO UPDATE
		SET used = fallback_keys.used AND fallback_keys.key_id = excluded.key_id AND fallback_keys.key = excluded.key,
			key_id = excluded.key_id, key = excluded.key`,
		k.User, k.Device, k.Algorithm, k.ID, k.Key, false)
}

// FallbackKeys returns the fallback keys of a device.
func FallbackKeys(tx *db.Tx, user, device string) ([]OneTimeKey, error) {
	return db.All(tx, func(k *OneTimeKey) []any { return []any{&k.Algorithm, &k.ID, &k.Key, &k.Used} }, `
		SELECT algorithm, key_id, key, used FROM fallback_keys WHERE usr = $1 AND device = $2 ORDER BY algorithm`, user, device)
}

// FallbackKey returns the fallback key for an algorithm, or db.ErrNoRow.
func FallbackKey(tx *db.Tx, user, device, algorithm string) (OneTimeKey, error) {
	k, err := db.One(tx, func(k *OneTimeKey) []any { return []any{&k.ID, &k.Key, &k.Used} }, `
		SELECT key_id, key, used FROM fallback_keys WHERE usr = $1 AND device = $2 AND algorithm = $3`, user, device, algorithm)
	k.User, k.Device, k.Algorithm = user, device, algorithm
	return k, err
}

// UseFallbackKey notes that a fallback key was given away.
func UseFallbackKey(tx *db.Tx, user, device, algorithm string) error {
	return tx.Exec(`UPDATE fallback_keys SET used = $1 WHERE usr = $2 AND device = $3 AND algorithm = $4`, true, user, device, algorithm)
}

// CrossSigningKey is a public key of a user.
type CrossSigningKey struct {
	User, Kind string // "master", "self_signing" or "user_signing"
	Public     string // unpadded base64
	Keys       []byte // canonical JSON
}

// SetCrossSigningKey stores a key in place of the one of its kind.
func SetCrossSigningKey(tx *db.Tx, k CrossSigningKey) error {
	return tx.Exec(`
		INSERT INTO cross_signing_keys (usr, kind, public, keys) VALUES ($1, $2, $3, $4)
		ON CONFLICT (usr, kind) DO UPDATE SET public = excluded.public, keys = excluded.keys`, k.User, k.Kind, k.Public, k.Keys)
}

// CrossSigningKeys returns the keys of some users.
func CrossSigningKeys(tx *db.Tx, users ...string) (all []CrossSigningKey, err error) {
	err = db.In(users, 1, func(in string, args []any) error {
		some, err := db.All(tx, func(k *CrossSigningKey) []any { return []any{&k.User, &k.Kind, &k.Public, &k.Keys} }, `
			SELECT usr, kind, public, keys FROM cross_signing_keys WHERE usr IN (`+in+`) ORDER BY usr, kind`, args...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// KeySignature is a signature of a key by another key.
type KeySignature struct {
	User, Target      string // whose device id or public key was signed
	Signer, SignerKey string // SignerKey is a key id such as "ed25519:ABC"
	Signature         string
}

// SetKeySignature stores a signature.
func SetKeySignature(tx *db.Tx, s KeySignature) error {
	return tx.Exec(`
		INSERT INTO key_signatures (usr, target, signer, signer_key, signature) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (usr, target, signer, signer_key) DO UPDATE SET signature = excluded.signature`,
		s.User, s.Target, s.Signer, s.SignerKey, s.Signature)
}

// DeleteKeySignatures forgets what was signed about a key.
func DeleteKeySignatures(tx *db.Tx, user, target string) error {
	return tx.Exec(`DELETE FROM key_signatures WHERE usr = $1 AND target = $2`, user, target)
}

// KeySignatures returns the signatures of the keys of some users that viewer
// may see: the users' own and the viewer's.
func KeySignatures(tx *db.Tx, viewer string, users []string) (all []KeySignature, err error) {
	err = db.In(users, 2, func(in string, args []any) error {
		some, err := db.All(tx, func(s *KeySignature) []any {
			return []any{&s.User, &s.Target, &s.Signer, &s.SignerKey, &s.Signature}
		}, `
			SELECT usr, target, signer, signer_key, signature FROM key_signatures
			WHERE (signer = usr OR signer = $1) AND usr IN (`+in+`)`, append([]any{viewer}, args...)...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// KeyChange says that the keys of a user changed, for everybody or, if Viewer is
// not "", for one viewer.
type KeyChange struct {
	User, Viewer string
	Pos          int64
}

// SetKeyChange stores the newest change.
func SetKeyChange(tx *db.Tx, c KeyChange) error {
	return tx.Exec(`
		INSERT INTO key_changes (usr, viewer, pos) VALUES ($1, $2, $3)
		ON CONFLICT (usr, viewer) DO UPDATE SET pos = excluded.pos`, c.User, c.Viewer, c.Pos)
}

// KeyChangesSince returns the changes with positions after after that viewer
// sees, of each user only the newest.
func KeyChangesSince(tx *db.Tx, viewer string, after int64) ([]KeyChange, error) {
	return db.All(tx, func(c *KeyChange) []any { return []any{&c.User, &c.Viewer, &c.Pos} }, `
		SELECT usr, viewer, pos FROM key_changes WHERE pos > $1 AND (viewer = '' OR viewer = $2) ORDER BY pos`, after, viewer)
}

// JoinedRooms returns the rooms that a user is joined to.
func JoinedRooms(tx *db.Tx, user string) ([]int64, error) {
	return db.All(tx, db.Value[int64], `SELECT room FROM memberships WHERE usr = $1 AND membership = $2 ORDER BY room`, user, Join)
}

// JoinedRoomsOf returns the rooms that some users are joined to, in order.
func JoinedRoomsOf(tx *db.Tx, users []string) (map[string][]int64, error) {
	rooms := map[string][]int64{}
	err := db.In(users, 2, func(in string, args []any) error {
		columns := func(m *Member) []any { return []any{&m.User, &m.Room} }
		query := `SELECT usr, room FROM memberships WHERE membership = $1 AND usr IN (` + in + `) ORDER BY usr, room`
		for m, err := range db.Rows(tx, columns, query, append([]any{Join}, args...)...) {
			if err != nil {
				return err
			}
			rooms[m.User] = append(rooms[m.User], m.Room)
		}
		return nil
	})
	return rooms, err
}
