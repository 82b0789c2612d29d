package store

import "hearth/base/db"

// Pusher is a place to which a user's notifications go.
type Pusher struct {
	ID         int64 // position at which it came
	User       string
	App        string
	Key        string
	Kind       string
	AppName    string
	DeviceName string
	Profile    string
	Lang       string
	Data       []byte // a JSON object
	Device     string // of the session that set it
	Off        bool   // hears nothing for now
}

func (p *Pusher) columns() []any {
	return []any{&p.ID, &p.User, &p.App, &p.Key, &p.Kind, &p.AppName, &p.DeviceName, &p.Profile, &p.Lang, &p.Data, &p.Device, &p.Off}
}

const pusherColumns = `id, usr, app, pushkey, kind, app_name, device_name, profile, lang, data, device, off`

// SetPusher stores a pusher. One of the same user, app and key keeps its id.
func SetPusher(tx *db.Tx, p Pusher) error {
	return tx.Exec(`
		INSERT INTO pushers (`+pusherColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (usr, app, pushkey) DO UPDATE
		SET kind = excluded.kind, app_name = excluded.app_name, device_name = excluded.device_name,
			profile = excluded.profile, lang = excluded.lang, data = excluded.data, device = excluded.device, off = excluded.off`,
		p.ID, p.User, p.App, p.Key, p.Kind, p.AppName, p.DeviceName, p.Profile, p.Lang, p.Data, p.Device, p.Off)
}

// PushersOf lists the pushers of a user, oldest first.
func PushersOf(tx *db.Tx, user string) ([]Pusher, error) {
	return db.All(tx, (*Pusher).columns, `SELECT `+pusherColumns+` FROM pushers WHERE usr = $1 ORDER BY id`, user)
}

// PushersByKey lists the pushers of all users with an app and a key.
func PushersByKey(tx *db.Tx, app, key string) ([]Pusher, error) {
	return db.All(tx, (*Pusher).columns, `SELECT `+pusherColumns+` FROM pushers WHERE app = $1 AND pushkey = $2`, app, key)
}

// PusherByID returns a pusher, or db.ErrNoRow.
func PusherByID(tx *db.Tx, id int64) (Pusher, error) {
	return db.One(tx, (*Pusher).columns, `SELECT `+pusherColumns+` FROM pushers WHERE id = $1`, id)
}

// PushersOfDevice lists the pushers that a session of a device has set.
func PushersOfDevice(tx *db.Tx, user, device string) ([]Pusher, error) {
	return db.All(tx, (*Pusher).columns, `SELECT `+pusherColumns+` FROM pushers WHERE usr = $1 AND device = $2`, user, device)
}

// DropPushes forgets what is on its way to a pusher.
func DropPushes(tx *db.Tx, pusher int64) error {
	return tx.Exec(`DELETE FROM push_queue WHERE pusher = $1`, pusher)
}

// DeletePusher removes a pusher with what is on its way.
func DeletePusher(tx *db.Tx, id int64) error {
	if err := DropPushes(tx, id); err != nil {
		return err
	}
	return tx.Exec(`DELETE FROM pushers WHERE id = $1`, id)
}

// CountPushers counts all pushers of the server.
func CountPushers(tx *db.Tx) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM pushers`)
}

// PushersIn lists the pushers of those who are joined to a room, but none that is
// off.
func PushersIn(tx *db.Tx, room int64) ([]Pusher, error) {
	return db.All(tx, (*Pusher).columns, `
		SELECT `+pusherColumns+` FROM pushers
		WHERE usr IN (SELECT usr FROM memberships WHERE room = $1 AND membership = $2) AND off = $3
		ORDER BY id`, room, int64(Join), false)
}

// PushCursor is the position up to which events were looked at for pushers.
func PushCursor(tx *db.Tx) (int64, error) {
	return cursor(tx, "push")
}

// SetPushCursor moves it.
func SetPushCursor(tx *db.Tx, pos int64) error {
	return setCursor(tx, "push", pos)
}

// Push is a notification on its way to a pusher.
type Push struct {
	Pusher int64
	Event  int64
	At     int64 // ms
	Tweaks []byte
}

func (p *Push) columns() []any { return []any{&p.Pusher, &p.Event, &p.At, &p.Tweaks} }

// AddPush stores a notification for a pusher that still is there.
func AddPush(tx *db.Tx, p Push) error {
	return tx.Exec(`
		INSERT INTO push_queue (pusher, event, at, tweaks)
		SELECT id, $1, $2, $3 FROM pushers WHERE id = $4
		ON CONFLICT DO NOTHING`, p.Event, p.At, p.Tweaks, p.Pusher)
}

// TrimPushes drops all but the newest keep notifications of a pusher.
func TrimPushes(tx *db.Tx, pusher int64, keep int) error {
	return tx.Exec(`
		DELETE FROM push_queue WHERE pusher = $1 AND event <= (
			SELECT event FROM push_queue WHERE pusher = $2 ORDER BY event DESC LIMIT 1 OFFSET $3)`, pusher, pusher, keep)
}

// Pushes returns the oldest notifications of a pusher.
func Pushes(tx *db.Tx, pusher int64, limit int) ([]Push, error) {
	return db.All(tx, (*Push).columns, `
		SELECT pusher, event, at, tweaks FROM push_queue WHERE pusher = $1 ORDER BY event LIMIT $2`, pusher, limit)
}

// WaitingPushers lists the pushers for which something is on its way.
func WaitingPushers(tx *db.Tx) ([]int64, error) {
	return db.All(tx, db.Value[int64], `SELECT DISTINCT pusher FROM push_queue`)
}

// DeletePushes forgets the notifications of a pusher up to an event.
func DeletePushes(tx *db.Tx, pusher, upto int64) error {
	return tx.Exec(`DELETE FROM push_queue WHERE pusher = $1 AND event <= $2`, pusher, upto)
}
