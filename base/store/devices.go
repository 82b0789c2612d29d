package store

import "hearth/base/db"

// Device is a row of devices.
type Device struct {
	User     string
	ID       string
	Name     string
	Created  int64  // ms
	LastSeen int64  // ms, 0 for never
	IP       string // of the last request
	Agent    string // what the program that made it calls itself
}

const deviceColumns = `usr, device, name, created, last_seen, ip, agent`

func (d *Device) columns() []any {
	return []any{&d.User, &d.ID, &d.Name, &d.Created, &d.LastSeen, &d.IP, &d.Agent}
}

// AddDevice adds d, or leaves the device of that id as it is. It reports
// whether d is new.
func AddDevice(tx *db.Tx, d Device) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO devices (`+deviceColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (usr, device) DO NOTHING`,
		d.User, d.ID, d.Name, d.Created, d.LastSeen, d.IP, d.Agent)
	return n == 1, err
}

// Devices lists the devices of a user, oldest first.
func Devices(tx *db.Tx, user string) ([]Device, error) {
	return db.All(tx, (*Device).columns, `
		SELECT `+deviceColumns+` FROM devices WHERE usr = $1 ORDER BY created, device`, user)
}

// DeviceByID returns a device, or db.ErrNoRow.
func DeviceByID(tx *db.Tx, user, device string) (Device, error) {
	return db.One(tx, (*Device).columns, `
		SELECT `+deviceColumns+` FROM devices WHERE usr = $1 AND device = $2`, user, device)
}

// RenameDevice reports false if there is no such device.
func RenameDevice(tx *db.Tx, user, device, name string) (bool, error) {
	n, err := tx.ExecN(`UPDATE devices SET name = $1 WHERE usr = $2 AND device = $3`, name, user, device)
	return n == 1, err
}

// SeenDevice notes when, from where and by which program a device was last active.
func SeenDevice(tx *db.Tx, user, device string, at int64, ip, agent string) error {
	return tx.Exec(`
		UPDATE devices SET last_seen = $1, ip = $2, agent = $3
		WHERE usr = $4 AND device = $5 AND last_seen < $1`, at, ip, agent, user, device)
}

// DeleteDevice removes a device with all its tokens. It reports whether there
// was one.
func DeleteDevice(tx *db.Tx, user, device string) (bool, error) {
	if err := DeleteTokens(tx, user, device); err != nil {
		return false, err
	}
	n, err := tx.ExecN(`DELETE FROM devices WHERE usr = $1 AND device = $2`, user, device)
	return n == 1, err
}

// DeviceNames returns the names of devices that have one, by user and device.
func DeviceNames(tx *db.Tx, users []string) (map[[2]string]string, error) {
	names := map[[2]string]string{}
	err := db.In(users, 1, func(in string, args []any) error {
		columns := func(d *Device) []any { return []any{&d.User, &d.ID, &d.Name} }
		for d, err := range db.Rows(tx, columns, `SELECT usr, device, name FROM devices WHERE usr IN (`+in+`) AND name <> ''`, args...) {
			if err != nil {
				return err
			}
			names[[2]string{d.User, d.ID}] = d.Name
		}
		return nil
	})
	return names, err
}

// DeviceIDs returns the devices of some users.
func DeviceIDs(tx *db.Tx, users []string) (map[string][]string, error) {
	ids := map[string][]string{}
	err := db.In(users, 1, func(in string, args []any) error {
		columns := func(d *Device) []any { return []any{&d.User, &d.ID} }
		for d, err := range db.Rows(tx, columns, `SELECT usr, device FROM devices WHERE usr IN (`+in+`) ORDER BY usr, device`, args...) {
			if err != nil {
				return err
			}
			ids[d.User] = append(ids[d.User], d.ID)
		}
		return nil
	})
	return ids, err
}
