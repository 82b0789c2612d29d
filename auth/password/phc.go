package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one argon2id hash takes.
type Cost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// Default is OWASP's choice for little memory: as hard to guess as 19 MiB with
// two passes, without the garbage of a login doubling the server's heap.
var Default = Cost{Memory: 9 << 10, Passes: 4, Threads: 1}

// most bounds hashes that come from elsewhere: what the database holds must not
// be able to exhaust memory.
var most = Cost{Memory: 64 << 10, Passes: 16, Threads: 16}

const (
	saltLen = 16
	keyLen  = 32
)

var errFormat = errors.New("password hash has an unknown format")

func (c Cost) key(password, salt []byte, n int) []byte {
	return argon2.IDKey(password, salt, c.Passes, c.Memory, c.Threads, uint32(n))
}

// below reports whether guessing is cheaper than at cost o.
func (c Cost) below(o Cost) bool { return c.Memory < o.Memory || c.Passes < o.Passes }

// phc is a hash in the format "$argon2id$v=19$m=…,t=…,p=…$salt$key".
type phc struct {
	cost Cost
	salt []byte
	key  []byte
}

func (p phc) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.cost.Memory, p.cost.Passes, p.cost.Threads,
		enc.EncodeToString(p.salt), enc.EncodeToString(p.key))
}

func (p phc) fits(password []byte) bool {
	return subtle.ConstantTimeCompare(p.cost.key(password, p.salt, len(p.key)), p.key) == 1
}

func parse(s string) (phc, error) {
	var p phc
	var version int
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, errFormat
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, errFormat
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.cost.Memory, &p.cost.Passes, &p.cost.Threads); err != nil {
		return p, errFormat
	}
	c := p.cost
	if c.Memory > most.Memory || c.Passes < 1 || c.Passes > most.Passes || c.Threads < 1 || c.Threads > most.Threads {
		return p, errFormat
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, errFormat
	}
	p.key, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(p.key) < 16 || len(p.key) > 64 {
		return p, errFormat
	}
	return p, nil
}
