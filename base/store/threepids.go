package store

import "hearth/base/db"

// Threepid is a mail address or phone number that belongs to a user.
type Threepid struct {
	Medium    string // "email" or "msisdn"
	Address   string
	User      string
	Validated int64 // ms
	Added     int64 // ms
}

func (t *Threepid) columns() []any {
	return []any{&t.Medium, &t.Address, &t.User, &t.Validated, &t.Added}
}

const threepidColumns = `medium, address, usr, validated, added`

// Threepids lists what belongs to a user.
func Threepids(tx *db.Tx, user string) ([]Threepid, error) {
	return db.All(tx, (*Threepid).columns, `SELECT `+threepidColumns+` FROM threepids WHERE usr = $1 ORDER BY medium, address`, user)
}

// ThreepidByAddress finds whose an address is, or returns db.ErrNoRow.
func ThreepidByAddress(tx *db.Tx, medium, address string) (Threepid, error) {
	return db.One(tx, (*Threepid).columns, `SELECT `+threepidColumns+` FROM threepids WHERE medium = $1 AND address = $2`, medium, address)
}

// AddThreepid gives an address to a user. It reports false if it is another's.
func AddThreepid(tx *db.Tx, t Threepid) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO threepids (`+threepidColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (medium, address) DO UPDATE SET validated = excluded.validated WHERE threepids.usr = excluded.usr`,
		t.Medium, t.Address, t.User, t.Validated, t.Added)
	return n == 1, err
}

// DeleteThreepid takes an address from a user, and reports whether it was there.
func DeleteThreepid(tx *db.Tx, user, medium, address string) (bool, error) {
	n, err := tx.ExecN(`DELETE FROM threepids WHERE medium = $1 AND address = $2 AND usr = $3`, medium, address, user)
	return n == 1, err
}

// DeleteThreepids takes all addresses from a user.
func DeleteThreepids(tx *db.Tx, user string) error {
	return tx.Exec(`DELETE FROM threepids WHERE usr = $1`, user)
}

// ExternalID is who a user is to an identity provider.
type ExternalID struct {
	Provider string
	ID       string
	User     string
}

func (x *ExternalID) columns() []any { return []any{&x.Provider, &x.ID, &x.User} }

// ExternalIDs lists those of a user.
func ExternalIDs(tx *db.Tx, user string) ([]ExternalID, error) {
	return db.All(tx, (*ExternalID).columns, `
		SELECT provider, external_id, usr FROM external_ids WHERE usr = $1 ORDER BY provider, external_id`, user)
}

// ExternalUser finds who somebody is whom a provider knows, or returns db.ErrNoRow.
func ExternalUser(tx *db.Tx, provider, id string) (string, error) {
	return db.One(tx, db.Value[string], `SELECT usr FROM external_ids WHERE provider = $1 AND external_id = $2`, provider, id)
}

// AddExternalID stores who a user is to a provider. It reports false if that is
// another user already.
func AddExternalID(tx *db.Tx, x ExternalID) (bool, error) {
	n, err := tx.ExecN(`
		INSERT INTO external_ids (provider, external_id, usr) VALUES ($1, $2, $3)
		ON CONFLICT (provider, external_id) DO UPDATE SET usr = excluded.usr WHERE external_ids.usr = excluded.usr`,
		x.Provider, x.ID, x.User)
	return n == 1, err
}

// DeleteExternalIDs forgets who a user is to providers.
func DeleteExternalIDs(tx *db.Tx, user string) error {
	return tx.Exec(`DELETE FROM external_ids WHERE usr = $1`, user)
}

// Proof is a row of threepid_sessions.
type Proof struct {
	SID       string
	Purpose   string // "register", "password" or "add"
	Medium    string
	Address   string
	Secret    string // the client's
	Attempt   int64
	NextLink  string
	Token     []byte // SHA-256
	Validated int64  // ms, 0 for not yet
	Expires   int64  // ms
	Tries     int64  // wrong tokens
}

const proofColumns = `sid, purpose, medium, address, secret, attempt, next_link, token, validated, expires, tries`

func (p *Proof) columns() []any {
	return []any{&p.SID, &p.Purpose, &p.Medium, &p.Address, &p.Secret, &p.Attempt, &p.NextLink, &p.Token, &p.Validated, &p.Expires, &p.Tries}
}

// ProofByID returns a proof, or db.ErrNoRow.
func ProofByID(tx *db.Tx, sid string) (Proof, error) {
	return db.One(tx, (*Proof).columns, `SELECT `+proofColumns+` FROM threepid_sessions WHERE sid = $1`, sid)
}

// ProofOf returns the proof that a client has asked for before, or db.ErrNoRow.
func ProofOf(tx *db.Tx, purpose, medium, address, secret string) (Proof, error) {
	return db.One(tx, (*Proof).columns, `
		SELECT `+proofColumns+` FROM threepid_sessions
		WHERE purpose = $1 AND medium = $2 AND address = $3 AND secret = $4`, purpose, medium, address, secret)
}

// SetProof stores a proof.
func SetProof(tx *db.Tx, p Proof) error {
	return tx.Exec(`
		INSERT INTO threepid_sessions (`+proofColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (sid) DO UPDATE SET
			attempt = excluded.attempt, next_link = excluded.next_link, token = excluded.token,
			validated = excluded.validated, expires = excluded.expires, tries = excluded.tries`,
		p.SID, p.Purpose, p.Medium, p.Address, p.Secret, p.Attempt, p.NextLink, p.Token, p.Validated, p.Expires, p.Tries)
}

// DeleteProof forgets a proof.
func DeleteProof(tx *db.Tx, sid string) error {
	return tx.Exec(`DELETE FROM threepid_sessions WHERE sid = $1`, sid)
}

// ExpireProofs forgets those that are too old.
func ExpireProofs(tx *db.Tx, now int64) error {
	return tx.Exec(`DELETE FROM threepid_sessions WHERE expires <= $1`, now)
}

// CountProofs is how many there are.
func CountProofs(tx *db.Tx) (int64, error) {
	return db.One(tx, db.Value[int64], `SELECT COUNT(*) FROM threepid_sessions`)
}
