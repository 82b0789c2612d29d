package store

import "hearth/base/db"

// Appservice is how far an application service has been told.
type Appservice struct {
	ID   string
	Pos  int64  // all up to here is told
	Next int64  // transaction numbers from here on were never used
	Txn  int64  // number of the transaction on its way
	Upto int64  // what is told when that has arrived
	Body []byte // what it says; nil if none is on its way
}

// AppserviceByID returns a service, or db.ErrNoRow.
func AppserviceByID(tx *db.Tx, id string) (Appservice, error) {
	return db.One(tx, func(a *Appservice) []any { return []any{&a.ID, &a.Pos, &a.Next, &a.Txn, &a.Upto, &a.Body} },
		`SELECT id, pos, next, txn, upto, body FROM appservices WHERE id = $1`, id)
}

// SetAppservice stores how far a service has been told.
func SetAppservice(tx *db.Tx, a Appservice) error {
	return tx.Exec(`
		INSERT INTO appservices (id, pos, next, txn, upto, body) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE
		SET pos = excluded.pos, next = excluded.next, txn = excluded.txn, upto = excluded.upto, body = excluded.body`,
		a.ID, a.Pos, a.Next, a.Txn, a.Upto, a.Body)
}

// AddAppserviceMail keeps a message for a service.
func AddAppserviceMail(tx *db.Tx, service string, m DeviceMessage) error {
	return tx.Exec(`INSERT INTO appservice_mail (service, pos, usr, device, message) VALUES ($1, $2, $3, $4, $5)`,
		service, m.Pos, m.User, m.Device, m.Message)
}

// AppserviceMail returns up to n messages for a service up to a position, the
// oldest first.
func AppserviceMail(tx *db.Tx, service string, upto int64, n int) ([]DeviceMessage, error) {
	return db.All(tx, func(m *DeviceMessage) []any { return []any{&m.Pos, &m.User, &m.Device, &m.Message} }, `
		SELECT pos, usr, device, message FROM appservice_mail WHERE service = $1 AND pos <= $2 ORDER BY pos, usr, device LIMIT $3`, service, upto, n)
}

// DeleteAppserviceMail forgets a message for a service, and those before it.
func DeleteAppserviceMail(tx *db.Tx, service string, upto DeviceMessage) error {
	if err := tx.Exec(`DELETE FROM appservice_mail WHERE service = $1 AND pos < $2`, service, upto.Pos); err != nil {
		return err
	}
	return tx.Exec(`
		DELETE FROM appservice_mail
		WHERE service = $1 AND pos = $2 AND (usr < $3 OR usr = $4 AND device <= $5)`, service, upto.Pos, upto.User, upto.User, upto.Device)
}

// TrimAppserviceMail forgets all but the newest n messages for a service.
func TrimAppserviceMail(tx *db.Tx, service string, n int) error {
	return tx.Exec(`
		DELETE FROM appservice_mail WHERE service = $1 AND pos <= (
			SELECT pos FROM appservice_mail WHERE service = $2 ORDER BY pos DESC LIMIT 1 OFFSET $3)`, service, service, n)
}

// SetNetworkRoom shows a room in the directory of a service's network, or no
// longer.
func SetNetworkRoom(tx *db.Tx, service, network string, room int64, listed bool) error {
	if !listed {
		return tx.Exec(`DELETE FROM appservice_rooms WHERE service = $1 AND network = $2 AND room = $3`, service, network, room)
	}
	return tx.Exec(`INSERT INTO appservice_rooms (service, network, room) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, service, network, room)
}

// NetworkListings returns the rooms in the directory of a service's network; of
// all networks if service is "".
func NetworkListings(tx *db.Tx, service, network string) ([]Listing, error) {
	return db.All(tx, func(l *Listing) []any { return []any{&l.Room, &l.RoomID, &l.State, &l.Joined} }, `
		SELECT r.nid, r.room_id, r.state, r.joined FROM rooms r
		WHERE r.nid IN (SELECT room FROM appservice_rooms WHERE $1 = '' OR service = $2 AND network = $3)
		ORDER BY r.joined DESC, r.nid`, service, service, network)
}
