package store

import "hearth/base/db"

// AccountData is one entry that a user keeps, for all or for one room.
type AccountData struct {
	User    string
	Room    int64 // 0 for data that belongs to no room
	Type    string
	Pos     int64
	Content []byte // a JSON object
	Deleted bool   // Content is {}
}

func (a *AccountData) columns() []any {
	return []any{&a.User, &a.Room, &a.Type, &a.Pos, &a.Content, &a.Deleted}
}

const accountDataColumns = `usr, room, type, pos, content, deleted`

// SetAccountData stores an entry.
func SetAccountData(tx *db.Tx, a AccountData) error {
	return tx.Exec(`
		INSERT INTO account_data (`+accountDataColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (usr, room, type) DO UPDATE
		SET pos = excluded.pos, content = excluded.content, deleted = excluded.deleted`,
		a.User, a.Room, a.Type, a.Pos, a.Content, a.Deleted)
}

// AccountDataOf returns one entry, deleted or not, or db.ErrNoRow.
func AccountDataOf(tx *db.Tx, user string, room int64, typ string) (AccountData, error) {
	return db.One(tx, (*AccountData).columns, `
		SELECT `+accountDataColumns+` FROM account_data WHERE usr = $1 AND room = $2 AND type = $3`, user, room, typ)
}

// AccountDataSince returns a user's entries with positions in (after, upto],
// of no room and of all rooms, deleted ones too.
func AccountDataSince(tx *db.Tx, user string, after, upto int64) ([]AccountData, error) {
	return db.All(tx, (*AccountData).columns, `
		SELECT `+accountDataColumns+` FROM account_data
		WHERE usr = $1 AND pos > $2 AND pos <= $3 ORDER BY pos`, user, after, upto)
}

// AccountDataIn returns a user's entries of some rooms (0 for those of none)
// that are not deleted, in order of their types.
func AccountDataIn(tx *db.Tx, user string, rooms ...int64) (all []AccountData, err error) {
	err = db.In(rooms, 3, func(in string, args []any) error {
		some, err := db.All(tx, (*AccountData).columns, `
			SELECT `+accountDataColumns+` FROM account_data
			WHERE usr = $1 AND deleted = $2 AND room IN (`+in+`) ORDER BY type`, append([]any{user, false}, args...)...)
		all = append(all, some...)
		return err
	})
	return all, err
}

// DeleteAccountData removes all entries of a user.
func DeleteAccountData(tx *db.Tx, user string) error {
	return tx.Exec(`DELETE FROM account_data WHERE usr = $1`, user)
}

// CountAccountData counts a user's entries.
func CountAccountData(tx *db.Tx, user string) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM account_data WHERE usr = $1`, user)
}
