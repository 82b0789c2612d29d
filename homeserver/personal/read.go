package personal

import (
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// Get returns the content of an entry; room is a room's number, or 0. One that
// is not there, or was deleted, is M_NOT_FOUND. Everybody has TypePushRules.
func (e *Engine) Get(ctx context.Context, user string, room int64, typ string) (json.RawMessage, error) {
	if !utf8.ValidString(typ) {
		return nil, errNotFound()
	}
	if typ == TypePushRules && room == 0 {
		rs, err := e.Rules(ctx, user)
		if err != nil {
			return nil, err
		}
		return showRules(rs)
	}
	row, err := e.row(ctx, user, room, typ)
	if errors.Is(err, db.ErrNoRow) || err == nil && row.Deleted {
		return nil, errNotFound()
	}
	return row.Content, err
}

func errNotFound() error { return mxerr.New(mxerr.NotFound, "Account data not found") }

func (e *Engine) row(ctx context.Context, user string, room int64, typ string) (row store.AccountData, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.AccountDataOf(tx, user, room, typ)
		return err
	})
	return row, err
}

// Since returns a user's entries with positions in (after, upto], of no room
// (Room 0) and of all rooms, as clients see them: the content of a deleted one
// is an empty object.
func (e *Engine) Since(ctx context.Context, user string, after, upto int64) (out []store.AccountData, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.AccountDataSince(tx, user, after, upto)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, shown(out)
}

// All returns a user's entries that are not deleted, of no room and of all
// rooms, for a first /sync. Push rules are always among them.
func (e *Engine) All(ctx context.Context, user string, upto int64) ([]store.AccountData, error) {
	rows, err := e.Since(ctx, user, 0, upto)
	if err != nil {
		return nil, err
	}
	out, rules := rows[:0], false
	for _, a := range rows {
		rules = rules || a.Room == 0 && a.Type == TypePushRules
		if !a.Deleted {
			out = append(out, a)
		}
	}
	if !rules {
		a := store.AccountData{User: user, Type: TypePushRules, Content: []byte("{}")}
		if err := show(&a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// In returns a user's entries of some rooms (0 for those of none), for a client
// that sees the rooms for the first time.
func (e *Engine) In(ctx context.Context, user string, rooms ...int64) (out []store.AccountData, err error) {
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.AccountDataIn(tx, user, rooms...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, shown(out)
}

// LastPos returns a position after which a user has no new entries. It is that
// of the newest entry if there was one lately.
func (e *Engine) LastPos(user string) int64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if pos, ok := e.latest[user]; ok {
		return pos
	}
	return e.floor
}

// shown turns stored entries into what clients see.
func shown(entries []store.AccountData) error {
	for i := range entries {
		if err := show(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func show(a *store.AccountData) error {
	if a.Type != TypePushRules || a.Room != 0 {
		return nil
	}
	rs, err := parseRules(a.Content, a.User)
	if err == nil {
		a.Content, err = showRules(rs)
	}
	return err
}
