package e2ee

import (
	"encoding/json"
	"strings"
	"testing"

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
			same := string(got["!r:test"]["s"].Data) == string(step.key.Data)
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
		h.must(h.DeleteBackup(ctx, alice, "2"))
		_, err = h.BackedUp(ctx, alice, "2", "", "")
		h.fails(err, mxerr.NotFound)
		if b, err := h.Backup(ctx, alice, ""); err != nil || b.Version != "1" {
			h.Errorf("what is left: %+v, %v", b, err)
		}
		if got, err := h.CreateBackup(ctx, alice, "alg", auth); err != nil || got != "3" {
			h.Errorf("a number came again: %s, %v", got, err)
		}
		_, err = h.BackedUp(ctx, bob, "3", "", "")
		h.fails(err, mxerr.NotFound)
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
		_, err = h.CreateBackup(ctx, alice, "", json.RawMessage(`{}`))
		h.fails(err, mxerr.MissingParam)
		_, err = h.CreateBackup(ctx, alice, "alg", json.RawMessage(`"x"`))
		h.fails(err, mxerr.BadJSON)
		_, err = h.CreateBackup(ctx, alice, "alg", json.RawMessage(`{"x":"`+strings.Repeat("x", maxAuthData)+`"}`))
		h.fails(err, mxerr.TooLarge)
	})
}
