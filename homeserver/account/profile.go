package account

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	// maxProfile bounds a profile, as JSON (client-server-api/#profiles).
	maxProfile = 64 << 10
	// maxFieldName bounds the name of a profile field in bytes.
	maxFieldName = 255
	// maxNames bounds display names and avatar URLs in characters: they are in
	// every membership event of their owner.
	maxDisplayName, maxAvatarURL = 256, 1000
)

// fieldGrammar is the Common Namespaced Identifier Grammar, as far as custom
// fields need it.
var fieldGrammar = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$`)

// Profile returns the fields of a user of this server, each as JSON. The error
// is M_NOT_FOUND if there is no such user.
func (e *Engine) Profile(ctx context.Context, user mxid.UserID) (map[string]json.RawMessage, error) {
	var fields []store.ProfileField
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		if _, err = e.liveTx(tx, user); err != nil {
			return err
		}
		fields, err = store.Profile(tx, string(user))
		return err
	})
	out := make(map[string]json.RawMessage, len(fields))
	for _, f := range fields {
		out[f.Field] = json.RawMessage(f.Value)
	}
	return out, err
}

// ProfileField returns one field as JSON, or M_NOT_FOUND.
func (e *Engine) ProfileField(ctx context.Context, user mxid.UserID, field string) (json.RawMessage, error) {
	if err := checkFieldName(field); err != nil {
		return nil, err
	}
	var value string
	err := e.db.Read(ctx, func(tx *db.Tx) (err error) {
		if _, err = e.liveTx(tx, user); err != nil {
			return err
		}
		value, err = store.ProfileValue(tx, string(user), field)
		return err
	})
	if err == db.ErrNoRow {
		return nil, mxerr.New(mxerr.NotFound, "The profile has no field %s", field)
	}
	return json.RawMessage(value), err
}

// liveTx finds a user of exactly this id whose account is not closed.
func (e *Engine) liveTx(tx *db.Tx, user mxid.UserID) (store.User, error) {
	if !storable(string(user)) {
		return store.User{}, errNoProfile()
	}
	u, err := store.UserByID(tx, string(user))
	if err == db.ErrNoRow || err == nil && u.Deactivated {
		err = errNoProfile()
	}
	return u, err
}

func errNoProfile() error { return mxerr.New(mxerr.NotFound, "Profile not found") }

// SetProfileField stores one field. The error is M_PROFILE_TOO_LARGE,
// M_KEY_TOO_LARGE, or M_INVALID_PARAM.
func (e *Engine) SetProfileField(ctx context.Context, user mxid.UserID, field string, value json.RawMessage) error {
	if field == "avatar_url" && (string(value) == `""` || string(value) == "null") || field == "displayname" && string(value) == "null" {
		return e.DeleteProfileField(ctx, user, field)
	}
	var packed bytes.Buffer
	if err := json.Compact(&packed, value); err != nil {
		return mxerr.New(mxerr.BadJSON, "The value is not JSON")
	}
	value = packed.Bytes()
	if err := checkField(field, value); err != nil {
		return err
	}
	changed := false
	err := e.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := e.liveTx(tx, user); err != nil {
			return err
		}
		fields, err := store.Profile(tx, string(user))
		if err != nil {
			return err
		}
		changed = true
		size := len(`{"":}`) + len(field) + len(value)
		for _, f := range fields {
			if f.Field == field {
				changed = f.Value != string(value)
			} else {
				size += len(`"":,`) + len(f.Field) + len(f.Value)
			}
		}
		if size > maxProfile {
			return mxerr.New(mxerr.ProfileTooLarge, "The profile would be larger than 64 KiB")
		}
		return store.SetProfileValue(tx, string(user), field, string(value))
	})
	if err == nil && changed {
		e.OnProfile(ctx, user, field, value)
	}
	return err
}

// DeleteProfileField removes one field, if it is there.
func (e *Engine) DeleteProfileField(ctx context.Context, user mxid.UserID, field string) error {
	if err := checkFieldName(field); err != nil {
		return err
	}
	found := false
	err := e.db.Write(ctx, func(tx *db.Tx) (err error) {
		found, err = store.DeleteProfileValue(tx, string(user), field)
		return err
	})
	if err == nil && found {
		e.OnProfile(ctx, user, field, nil)
	}
	return err
}

func checkFieldName(field string) error {
	switch {
	case len(field) > maxFieldName:
		return mxerr.New(mxerr.KeyTooLarge, "The name of a profile field has at most %d bytes", maxFieldName)
	case field == "displayname" || field == "avatar_url" || fieldGrammar.MatchString(field):
		return nil
	}
	return mxerr.New(mxerr.InvalidParam, "This is not a name for a profile field: use one like org.example.pet")
}

func checkField(field string, value json.RawMessage) error {
	if err := checkFieldName(field); err != nil {
		return err
	}
	if !utf8.Valid(value) {
		return mxerr.New(mxerr.BadJSON, "The value is not valid UTF-8")
	}
	if len(value) > maxProfile {
		return mxerr.New(mxerr.ProfileTooLarge, "The profile would be larger than 64 KiB")
	}
	if field != "displayname" && field != "avatar_url" && field != "m.tz" {
		return nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil || value[0] != '"' {
		return mxerr.New(mxerr.BadJSON, "The field %s must be a string", field)
	}
	switch n := len([]rune(text)); {
	case field == "displayname" && n > maxDisplayName:
		return mxerr.New(mxerr.InvalidParam, "A display name has at most %d characters", maxDisplayName)
	case field == "avatar_url" && n > maxAvatarURL:
		return mxerr.New(mxerr.InvalidParam, "An avatar URL has at most %d characters", maxAvatarURL)
	case strings.ContainsRune(text, 0):
		return mxerr.New(mxerr.InvalidParam, "The field %s has characters that are not allowed", field)
	}
	return nil
}

// Names are the two fields that membership events repeat.
type Names struct {
	DisplayName string // "" if none
	AvatarURL   string // "" if none
}

// NamesTx reads the names of a user, inside a transaction of the caller's.
func NamesTx(tx *db.Tx, user mxid.UserID) (Names, error) {
	var n Names
	for field, to := range map[string]*string{"displayname": &n.DisplayName, "avatar_url": &n.AvatarURL} {
		value, err := store.ProfileValue(tx, string(user), field)
		if err == db.ErrNoRow {
			continue
		}
		if err != nil {
			return n, err
		}
		if err := json.Unmarshal([]byte(value), to); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Names reads the names of a user.
func (e *Engine) Names(ctx context.Context, user mxid.UserID) (n Names, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) error {
		n, err = NamesTx(tx, user)
		return err
	})
	return n, err
}
