package store

import (
	"strconv"

	"hearth/base/db"
)

// DeviceMessage is a message to a device that it has not fetched yet.
type DeviceMessage struct {
	User, Device string
	Pos          int64
	Message      []byte // {"content":…,"sender":…,"type":…}
}

// AddDeviceMessage puts a message into a device's inbox.
func AddDeviceMessage(tx *db.Tx, m DeviceMessage) error {
	return tx.Exec(`INSERT INTO inbox (usr, device, pos, message) VALUES ($1, $2, $3, $4)`, m.User, m.Device, m.Pos, m.Message)
}

// DeviceMessages returns up to n messages of a device with positions after
// after, the oldest first.
func DeviceMessages(tx *db.Tx, user, device string, after int64, n int) ([]DeviceMessage, error) {
	return db.All(tx, func(m *DeviceMessage) []any { return []any{&m.Pos, &m.Message} }, `
		SELECT pos, message FROM inbox WHERE usr = $1 AND device = $2 AND pos > $3 ORDER BY pos LIMIT `+strconv.Itoa(n), user, device, after)
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

// TrimInbox removes all but the newest n messages of a device.
func TrimInbox(tx *db.Tx, user, device string, n int) error {
	return tx.Exec(`
		DELETE FROM inbox WHERE usr = $1 AND device = $2 AND pos <= COALESCE((
			SELECT pos FROM inbox WHERE usr = $1 AND device = $2 ORDER BY pos DESC LIMIT 1 OFFSET `+strconv.Itoa(n)+`), 0)`, user, device)
}
