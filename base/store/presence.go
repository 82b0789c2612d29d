package store

import "hearth/base/db"

// Presence is what a user last said about being there.
type Presence struct {
	User     string
	State    string  // "online", "unavailable" or "offline"
	Status   *string // nil for none
	ActiveAt int64   // ms, when the user last did something
}

func (p *Presence) columns() []any { return []any{&p.User, &p.State, &p.Status, &p.ActiveAt} }

// SetPresence stores a user's presence.
func SetPresence(tx *db.Tx, p Presence) error {
	return tx.Exec(`
		INSERT INTO presence (usr, state, status, active_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (usr) DO UPDATE SET state = excluded.state, status = excluded.status, active_at = excluded.active_at`,
		p.User, p.State, p.Status, p.ActiveAt)
}

// PresenceOf returns a user's presence, or db.ErrNoRow.
func PresenceOf(tx *db.Tx, user string) (Presence, error) {
	return db.One(tx, (*Presence).columns, `SELECT usr, state, status, active_at FROM presence WHERE usr = $1`, user)
}
