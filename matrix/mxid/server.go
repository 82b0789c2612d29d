package mxid

import (
	"net/netip"
	"strings"

	"hearth/matrix/mxerr"
)

// ServerName is "host" or "host:port", where host is a DNS name, an IPv4
// address, or an IPv6 address in brackets (appendices/#server-name). Server
// names are case-sensitive.
type ServerName string

// ParseServerName checks the grammar of a server name. The error is an
// *mxerr.Error with M_INVALID_PARAM.
func ParseServerName(s string) (ServerName, error) {
	if !validServerName(s) {
		return "", invalid("server name", s, "want a host name or address, with an optional port")
	}
	return ServerName(s), nil
}

// Host is the server name without its port. IPv6 addresses keep their brackets.
func (s ServerName) Host() string {
	host, _ := splitPort(string(s))
	return host
}

// Port is the port as it is written, or "".
func (s ServerName) Port() string {
	_, port := splitPort(string(s))
	return port
}

// splitPort cuts at the colon that is not inside of brackets.
func splitPort(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func validServerName(s string) bool {
	if s == "" || len(s) > MaxLen {
		return false
	}
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && s[len(s)-1] != ']' {
		host, port = s[:i], s[i+1:]
		if !validPort(port) {
			return false
		}
	}
	if host == "" {
		return false
	}
	if host[0] == '[' {
		return validIPv6(host)
	}
	// A dotted quad is also a DNS name by the grammar, so 999.1.1.1 passes here
	// and fails when it is looked up.
	for i := range len(host) {
		if c := host[i]; !isAlnum(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// validPort is 1*5DIGIT of the grammar. That the number may exceed 65535 is for
// those who connect.
func validPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func validIPv6(host string) bool {
	if len(host) < 4 || host[len(host)-1] != ']' {
		return false
	}
	in := host[1 : len(host)-1]
	a, err := netip.ParseAddr(in)
	return err == nil && a.Is6() && a.Zone() == ""
}

// MaxLocalpart reports how many bytes a user's localpart may have on server s.
func (s ServerName) MaxLocalpart() int { return MaxLen - len("@:") - len(s) }

// ValidLocalpart checks the localpart of a new user against the strict grammar
// (appendices/#user-identifiers): not empty, of a-z 0-9 . _ = - / + only. The
// error is M_INVALID_USERNAME.
func ValidLocalpart(s string) error {
	if s == "" {
		return mxerr.New(mxerr.InvalidUsername, "User name must not be empty")
	}
	if len(s) > MaxLen-len("@:x") {
		return mxerr.New(mxerr.InvalidUsername, "User name is too long")
	}
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("._=-/+", c) >= 0 {
			continue
		}
		return mxerr.New(mxerr.InvalidUsername, "User name may only contain the characters a-z, 0-9, and ._=-/+")
	}
	return nil
}
