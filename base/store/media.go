package store

import "hearth/base/db"

// Media is a file that a user uploaded, or an id that waits for one.
type Media struct {
	Origin, ID    string // of mxc://origin/id
	User          string
	Created       int64 // ms
	Expires       int64 // ms, of an id that waits; 0 for files
	Type, Name    string
	Size          int64
	Hash          string // of the bytes; "" while it waits
	Used          int64  // ms, up to a day late
	QuarantinedBy string
	Protected     bool // from quarantine
	Fetched       bool // a copy of another server's
}

func (m *Media) columns() []any {
	return []any{&m.Origin, &m.ID, &m.User, &m.Created, &m.Expires, &m.Type, &m.Name, &m.Size, &m.Hash, &m.Used, &m.QuarantinedBy, &m.Protected, &m.Fetched}
}

const mediaColumns = `origin, id, usr, created, expires, type, name, size, hash, used, quarantined_by, protected, fetched`

// SetMedia stores a file, or what became of it.
func SetMedia(tx *db.Tx, m Media) error {
	return tx.Exec(`
		INSERT INTO media (`+mediaColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (origin, id) DO UPDATE SET expires = excluded.expires, type = excluded.type, name = excluded.name, size = excluded.size,
			hash = excluded.hash, used = excluded.used, quarantined_by = excluded.quarantined_by, protected = excluded.protected, fetched = excluded.fetched`,
		m.Origin, m.ID, m.User, m.Created, m.Expires, m.Type, m.Name, m.Size, m.Hash, m.Used, m.QuarantinedBy, m.Protected, m.Fetched)
}

// MediaByID returns a file, or db.ErrNoRow.
func MediaByID(tx *db.Tx, origin, id string) (Media, error) {
	return db.One(tx, (*Media).columns, `SELECT `+mediaColumns+` FROM media WHERE origin = $1 AND id = $2`, origin, id)
}

// MediaUsed notes when a file was last looked at.
func MediaUsed(tx *db.Tx, origin, id string, at int64) error {
	return tx.Exec(`UPDATE media SET used = $1 WHERE origin = $2 AND id = $3`, at, origin, id)
}

// CountPendingMedia counts the ids of a user that wait for an upload.
func CountPendingMedia(tx *db.Tx, user string, now int64) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM media WHERE usr = $1 AND hash = '' AND expires > $2`, user, now)
}

// DeleteExpiredMedia forgets ids that nobody uploaded to.
func DeleteExpiredMedia(tx *db.Tx, now int64) error {
	return tx.Exec(`DELETE FROM media WHERE hash = '' AND expires <= $1`, now)
}

// DeleteMedia removes a file, but not its bytes.
func DeleteMedia(tx *db.Tx, origin, id string) error {
	return tx.Exec(`DELETE FROM media WHERE origin = $1 AND id = $2`, origin, id)
}

// MediaWithBytes reports whether there is a file of some bytes.
func MediaWithBytes(tx *db.Tx, hash string) (bool, error) {
	n, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM media WHERE hash = $1`, hash)
	return n > 0, err
}

// BytesInUse reports whether bytes are those of a file or a thumbnail.
func BytesInUse(tx *db.Tx, hash string) (bool, error) {
	n, err := db.One(tx, db.Value[int64], `
		SELECT (SELECT COUNT(*) FROM media WHERE hash = $1) + (SELECT COUNT(*) FROM thumbnails WHERE hash = $2)`, hash, hash)
	return n > 0, err
}

// QuarantinedHash reports whether bytes are those of a quarantined file.
func QuarantinedHash(tx *db.Tx, hash string) (bool, error) {
	n, err := db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM media WHERE hash = $1 AND quarantined_by <> ''`, hash)
	return n > 0, err
}

// Thumbnail is a small picture of a file.
type Thumbnail struct {
	Source        string // hash of the bytes it was made from
	Width, Height int64
	Method        string // "crop" or "scale"
	Type          string
	Size          int64
	Hash          string
}

func (t *Thumbnail) columns() []any {
	return []any{&t.Source, &t.Width, &t.Height, &t.Method, &t.Type, &t.Size, &t.Hash}
}

// SetThumbnail stores a thumbnail.
func SetThumbnail(tx *db.Tx, t Thumbnail) error {
	return tx.Exec(`
		INSERT INTO thumbnails (source, width, height, method, type, size, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (source, width, height, method) DO NOTHING`, t.Source, t.Width, t.Height, t.Method, t.Type, t.Size, t.Hash)
}

// ThumbnailsOf returns the thumbnails that were made from some bytes.
func ThumbnailsOf(tx *db.Tx, source string) ([]Thumbnail, error) {
	return db.All(tx, (*Thumbnail).columns, `SELECT source, width, height, method, type, size, hash FROM thumbnails WHERE source = $1`, source)
}

// DeleteThumbnails forgets the thumbnails that were made from some bytes.
func DeleteThumbnails(tx *db.Tx, source string) error {
	return tx.Exec(`DELETE FROM thumbnails WHERE source = $1`, source)
}
