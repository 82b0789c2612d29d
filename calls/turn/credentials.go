package turn

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	pion "github.com/pion/turn/v5"
)

// Credentials are what a client needs to use the server for a while: the
// fields of GET /_matrix/client/v3/voip/turnServer without the URIs.
type Credentials struct {
	Username string // "expiry:@user:server", expiry in seconds since 1970
	Password string // base64 of the user name's HMAC-SHA1
	TTL      time.Duration
}

// maxUsername is the longest USERNAME that RFC 8489 §14.3 allows, in bytes.
const maxUsername = 508

// signingSecret is what passwords are made with. A key is not used as it is:
// the caller may have other uses for it.
func signingSecret(cfg Config) []byte {
	if cfg.Secret != "" {
		return []byte(cfg.Secret)
	}
	key := cfg.Key
	if len(key) == 0 {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails, says crypto/rand
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("hearth turn credentials 1"))
	return mac.Sum(nil)
}

// Credentials makes credentials for a user that are good from now on for the
// configured lifetime. Their form is that of the "TURN REST API" draft, which
// coturn and every Matrix homeserver share.
func (s *Server) Credentials(userID string, now time.Time) Credentials {
	name := strconv.FormatInt(now.Add(s.cfg.Lifetime).Unix(), 10) + ":" + userID
	return Credentials{Username: name, Password: s.password(name), TTL: s.cfg.Lifetime}
}

func (s *Server) password(username string) string {
	mac := hmac.New(sha1.New, s.secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// key is the long-term credential key of RFC 8489 §9.2.2 for a user name that
// the server could have made, whether or not it has expired.
func (s *Server) key(username string) ([]byte, bool) {
	if _, _, ok := splitUsername(username); !ok {
		return nil, false
	}
	return pion.GenerateAuthKey(username, s.cfg.Realm, s.password(username)), true
}

// splitUsername takes "expiry:user" apart. The user may be missing; then the
// whole name stands for the user.
func splitUsername(name string) (expiry time.Time, user string, ok bool) {
	stamp, user, _ := strings.Cut(name, ":")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds < 0 || len(name) > maxUsername {
		return time.Time{}, "", false
	}
	return time.Unix(seconds, 0), cmp.Or(user, name), true
}

func expired(username string, now time.Time) bool {
	expiry, _, ok := splitUsername(username)
	return !ok || now.After(expiry)
}

// URIs lists the server's listeners as TURN URIs (RFC 7065) under a host name
// or address, UDP first, for clients to try in that order.
func (s *Server) URIs(host string) []string {
	a := s.Addrs()
	var uris []string
	add := func(scheme, transport string, addrs []netip.AddrPort) {
		seen := map[uint16]bool{}
		for _, ap := range addrs {
			if seen[ap.Port()] {
				continue
			}
			seen[ap.Port()] = true
			at := net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(ap.Port())))
			uris = append(uris, scheme+":"+at+"?transport="+transport)
		}
	}
	add("turn", "udp", a.UDP)
	add("turn", "tcp", a.TCP)
	add("turns", "tcp", a.TLS)
	return uris
}
