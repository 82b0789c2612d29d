package store

import "hearth/base/db"

// Person is somebody with an account, as others may find them.
type Person struct {
	User            string
	Name, AvatarURL *string // JSON strings
}

// People returns the people of this server who are not guests and have not left
// it, with what their profiles say.
func People(tx *db.Tx) ([]Person, error) {
	return db.All(tx, func(p *Person) []any { return []any{&p.User, &p.Name, &p.AvatarURL} }, `
		SELECT u.usr, n.value, a.value FROM users u
		LEFT JOIN profiles n ON n.usr = u.usr AND n.field = 'displayname'
		LEFT JOIN profiles a ON a.usr = u.usr AND a.field = 'avatar_url'
		WHERE u.deactivated = $1 AND u.guest = $2 ORDER BY u.usr`, false, false)
}
