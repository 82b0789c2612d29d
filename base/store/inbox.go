package store

import "hearth/base/db"

// DeviceMessage is a message to a device that it has not fetched yet.
type DeviceMessage struct {
	User, Device string
	Pos          int64
	Message      []byte // {"content":…,"sender":…,"type":…}
}

// AddDeviceMessage puts a message into a device's inbox.
func AddDeviceMessage(tx *db.Tx, m DeviceMessage) error {
	return tx.Exec(`
		INSERT INTO inbox (usr, device, pos, size, message) VALUES ($1, $2, $3, $4, $5)`,
		m.User, m.Device, m.Pos, len(m.Message), m.Message)
}

// DeviceMessages returns messages of a device with positions after one and up to
// another, the oldest first: at most n, and no more than those that together
// reach size bytes. more tells that there are others.
func DeviceMessages(tx *db.Tx, user, device string, after, upto int64, n, size int) (list []DeviceMessage, more bool, err error) {
	columns := func(m *DeviceMessage) []any { return []any{&m.Pos, &m.Message} }
	for m, err := range db.Rows(tx, columns, `
		SELECT pos, message FROM inbox
		WHERE usr = $1 AND device = $2 AND pos > $3 AND pos <= $4
		ORDER BY pos LIMIT $5`, user, device, after, upto, n+1) {
		if err != nil {
			return nil, false, err
		}
		if len(list) == n || size <= 0 {
			return list, true, nil
		}
		size -= len(m.Message)
		list = append(list, m)
	}
	return list, false, nil
}

// InboxEnds returns the positions of the oldest and the newest message of a
// device, 0 without any.
func InboxEnds(tx *db.Tx, user, device string) (first, last int64, err error) {
	type ends struct{ first, last int64 }
	e, err := db.One(tx, func(e *ends) []any { return []any{&e.first, &e.last} }, `
		SELECT COALESCE(MIN(pos), 0), COALESCE(MAX(pos), 0) FROM inbox WHERE usr = $1 AND device = $2`, user, device)
	return e.first, e.last, err
}

// DeleteDeviceMessages removes the messages of a device up to a position.
func DeleteDeviceMessages(tx *db.Tx, user, device string, upto int64) error {
	return tx.Exec(`DELETE FROM inbox WHERE usr = $1 AND device = $2 AND pos <= $3`, user, device, upto)
}

// TrimInbox removes the oldest messages of a device until at most n messages and
// size bytes are left. It returns how many it removed.
func TrimInbox(tx *db.Tx, user, device string, n, size int64) (removed int64, err error) {
	type row struct{ pos, size int64 }
	var cut int64
	for r, err := range db.Rows(tx, func(r *row) []any { return []any{&r.pos, &r.size} }, `
		SELECT pos, size FROM inbox WHERE usr = $1 AND device = $2 ORDER BY pos DESC`, user, device) {
		if err != nil {
			return 0, err
		}
		n--
		size -= r.size
		if n < 0 || size < 0 {
			cut = r.pos
			break
		}
	}
	if cut == 0 {
		return 0, nil
	}
	return tx.ExecN(`DELETE FROM inbox WHERE usr = $1 AND device = $2 AND pos <= $3`, user, device, cut)
}

// AddInboxTxn remembers a client's request. It reports false for one that is
// known already.
func AddInboxTxn(tx *db.Tx, key []byte, at int64) (bool, error) {
	n, err := tx.ExecN(`INSERT INTO inbox_txns (key, at) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, at)
	return n == 1, err
}

// DeleteInboxTxns forgets requests that no client repeats any more.
func DeleteInboxTxns(tx *db.Tx, before int64) error {
	return tx.Exec(`DELETE FROM inbox_txns WHERE at < $1`, before)
}
