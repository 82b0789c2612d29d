package e2ee

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

func backedUp(index, forwarded int64, verified bool, data string) BackedUpKey {
	return BackedUpKey{&index, &forwarded, &verified, json.RawMessage(data)}
}

// TestBackupKeepsTheBetterKey: client-server-api/#backup-algorithm-mmegolm_backupv1curve25519-aes-sha2
func TestBackupKeepsTheBetterKey(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		version, err := h.CreateBackup(ctx, alice, "m.megolm_backup.v1", json.RawMessage(`{"public_key":"x"}`))
		h.must(err)
		etag := ""
		for _, step := range []struct {
			key   BackedUpKey
			taken bool
		}{
			{backedUp(10, 10, false, `{"n":1}`), true},
			{backedUp(10, 10, false, `{"n":2}`), false},
			{backedUp(11, 0, false, `{"n":3}`), false},
			{backedUp(10, 9, false, `{"n":4}`), true},
			{backedUp(9, 99, false, `{"n":5}`), true},
			{backedUp(50, 50, true, `{"n":6}`), true},
			{backedUp(0, 0, false, `{"n":7}`), false},
		} {
			c, err := h.BackUp(ctx, alice, version, BackedUpKeys{"!r:test": {"s": step.key}})
			h.must(err)
			got, err := h.BackedUp(ctx, alice, version, "!r:test", "s")
			h.must(err)
			same := string(got.Data) == string(step.key.Data)
			if same != step.taken || c.Count != 1 || (c.ETag != etag) != step.taken {
				h.Errorf("%s: taken %v, want %v; %+v after etag %s", step.key.Data, same, step.taken, c, etag)
			}
			etag = c.ETag
		}
	})
}

func TestBackupVersions(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		_, err := h.Backup(ctx, alice, "")
		h.fails(err, mxerr.NotFound)
		auth := json.RawMessage(`{"k":"v"}`)
		for _, want := range []string{"1", "2"} {
			if got, err := h.CreateBackup(ctx, alice, "alg", auth); err != nil || got != want {
				h.Errorf("version %s, %v; want %s", got, err, want)
			}
		}
		_, err = h.BackUp(ctx, alice, "1", BackedUpKeys{"!r": {"s": backedUp(0, 0, true, `{}`)}})
		h.fails(err, mxerr.WrongRoomKeysVersion)
		if f := mxerr.From(err).Fields; f["current_version"] != "2" {
			h.Errorf("the error says %v", f)
		}
		_, err = h.BackUp(ctx, alice, "2", BackedUpKeys{"!r": {"s": backedUp(0, 0, true, `{}`), "t": backedUp(0, 0, true, `{}`)}, "!q": {"s": backedUp(0, 0, true, `{}`)}})
		h.must(err)
		if b, err := h.Backup(ctx, alice, ""); err != nil || b.Count != 3 || b.Version != "2" || string(b.AuthData) != string(auth) {
			h.Errorf("%+v, %v", b, err)
		}
		if c, err := h.DeleteKeys(ctx, alice, "2", "!r", "s"); err != nil || c.Count != 2 {
			h.Errorf("%+v, %v", c, err)
		}
		if c, err := h.DeleteKeys(ctx, alice, "2", "!r", ""); err != nil || c.Count != 1 {
			h.Errorf("%+v, %v", c, err)
		}
		h.fails(h.SetAuthData(ctx, alice, "2", "1", "alg", auth), mxerr.InvalidParam)
		h.fails(h.SetAuthData(ctx, alice, "2", "2", "other", auth), mxerr.InvalidParam)
		h.must(h.SetAuthData(ctx, alice, "2", "", "alg", json.RawMessage(`{"k":"w"}`)))
		for range 2 { // deleting again is fine
			h.must(h.DeleteBackup(ctx, alice, "2"))
		}
		h.fails(h.DeleteBackup(ctx, alice, "3"), mxerr.NotFound)
		_, err = h.backedUp(alice, "2", "")
		h.fails(err, mxerr.NotFound)
		if b, err := h.Backup(ctx, alice, ""); err != nil || b.Version != "1" {
			h.Errorf("what is left: %+v, %v", b, err)
		}
		if got, err := h.CreateBackup(ctx, alice, "alg", auth); err != nil || got != "3" {
			h.Errorf("a number came again: %s, %v", got, err)
		}
		h.must(h.DeleteBackup(ctx, alice, "2")) // of which nothing is left
		_, err = h.backedUp(bob, "3", "")
		h.fails(err, mxerr.NotFound)
		for n := 4; ; n++ {
			if _, err = h.CreateBackup(ctx, alice, "alg", auth); err != nil {
				break
			}
			if n > maxVersions+3 {
				h.Fatal("there is no end to the versions")
			}
		}
		h.fails(err, mxerr.TooLarge)
		h.must(h.DeleteBackups(ctx, alice))
		_, err = h.Backup(ctx, alice, "")
		h.fails(err, mxerr.NotFound)
	})
}

// backedUp reads a version as a client does that restores it.
func (h *house) backedUp(user, version, room string) (keys []string, err error) {
	err = h.EachBackedUp(h.Context(), user, version, room, func(room, session string, _ BackedUpKey) error {
		keys = append(keys, room+" "+session)
		return nil
	})
	return keys, err
}

// TestLargeBackup: more keys than are read, written and deleted at once.
func TestLargeBackup(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		v, err := h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{}`))
		h.must(err)
		keys := BackedUpKeys{"!a": {}, "!b": {}}
		const many = 2*partOfKeys + 7 // of each room
		for n := range many {
			for _, room := range keys {
				room[fmt.Sprint(n)] = backedUp(0, 0, true, `{}`)
			}
		}
		c, err := h.BackUp(ctx, alice, v, keys)
		h.must(err)
		if c.Count != 2*many {
			h.Errorf("%+v", c)
		}
		for room, want := range map[string]int{"": 2 * many, "!a": many, "!c": 0} {
			got, err := h.backedUp(alice, v, room)
			h.must(err)
			if !slices.IsSorted(got) || len(slices.Compact(got)) != want {
				h.Errorf("%d keys of %q, want %d", len(got), room, want)
			}
		}
		c, err = h.DeleteKeys(ctx, alice, v, "!a", "")
		h.must(err)
		if left, _ := h.backedUp(alice, v, ""); c.Count != many || len(left) != many || strings.Contains(strings.Join(left, ""), "!a") {
			h.Errorf("%+v, and %d keys are left", c, len(left))
		}

		// The server dies while it deletes a version: the next one brings it to an end.
		h.must(h.DB.Write(ctx, func(tx *db.Tx) error {
			b, err := store.KeyBackupByVersion(tx, alice, 1)
			b.Deleted = true
			if err != nil {
				return err
			}
			return store.SetKeyBackup(tx, b)
		}))
		_, err = h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{}`))
		h.must(err)
		h.must(h.DB.Read(ctx, func(tx *db.Tx) error {
			keys, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM backed_up_keys`)
			if err != nil {
				return err
			}
			if versions, err := store.KeyBackups(tx, alice); err != nil || keys != 0 || len(versions) != 1 {
				h.Errorf("%d keys and %d versions are left, %v", keys, len(versions), err)
			}
			return nil
		}))
	})
}

func TestBackupRefuses(t *testing.T) {
	each(t, func(h *house) {
		ctx := h.Context()
		v, err := h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{}`))
		h.must(err)
		long := `{"x":"` + strings.Repeat("x", maxBackedUp) + `"}`
		for what, tc := range map[string]struct {
			key  BackedUpKey
			want mxerr.Code
		}{
			"nothing":        {BackedUpKey{}, mxerr.MissingParam},
			"below 0":        {backedUp(-1, 0, true, `{}`), mxerr.InvalidParam},
			"not an object":  {backedUp(0, 0, true, `1`), mxerr.BadJSON},
			"a long session": {backedUp(0, 0, true, long), mxerr.TooLarge},
		} {
			if _, err := h.BackUp(ctx, alice, v, BackedUpKeys{"!r": {"s": tc.key}}); err == nil || mxerr.From(err).Code != tc.want {
				h.Errorf("%s: %v, want %s", what, err, tc.want)
			}
		}
		h.must(h.DB.Write(ctx, func(tx *db.Tx) error { // as if it were nearly full
			b, err := store.KeyBackupByVersion(tx, alice, 1)
			if err != nil {
				return err
			}
			b.N = maxBackupKeys
			return store.SetKeyBackup(tx, b)
		}))
		_, err = h.BackUp(ctx, alice, v, BackedUpKeys{"!r": {"s": backedUp(0, 0, true, `{}`)}})
		h.fails(err, mxerr.TooLarge)
		_, err = h.CreateBackup(ctx, alice, "", json.RawMessage(`{}`))
		h.fails(err, mxerr.MissingParam)
		_, err = h.CreateBackup(ctx, alice, "alg", json.RawMessage(`"x"`))
		h.fails(err, mxerr.BadJSON)
		_, err = h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{"x":"`+strings.Repeat("x", maxAuthData)+`"}`))
		h.fails(err, mxerr.TooLarge)
	})
}
