package store

import "hearth/base/db"

// DehydratedDevice collects messages while its user has no other device
// (MSC3814).
type DehydratedDevice struct {
	User, Device string
	Data         []byte // a JSON object that only the user's clients understand
}

// SetDehydratedDevice stores a user's dehydrated device in place of the one
// before.
func SetDehydratedDevice(tx *db.Tx, d DehydratedDevice) error {
	return tx.Exec(`
		INSERT INTO dehydrated_devices (usr, device, data) VALUES ($1, $2, $3)
		ON CONFLICT (usr) DO UPDATE SET device = excluded.device, data = excluded.data`, d.User, d.Device, d.Data)
}

// DehydratedDeviceOf returns a user's dehydrated device, or db.ErrNoRow.
func DehydratedDeviceOf(tx *db.Tx, user string) (DehydratedDevice, error) {
	return db.One(tx, func(d *DehydratedDevice) []any { return []any{&d.User, &d.Device, &d.Data} }, `
		SELECT usr, device, data FROM dehydrated_devices WHERE usr = $1`, user)
}

// DeleteDehydratedDevice forgets that a device is dehydrated.
func DeleteDehydratedDevice(tx *db.Tx, user, device string) error {
	return tx.Exec(`DELETE FROM dehydrated_devices WHERE usr = $1 AND device = $2`, user, device)
}
