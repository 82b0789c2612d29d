package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"hearth/matrix/mxid"
)

func parseServerName(v any, _ fieldTag) (any, error) {
	s, err := wantString(v, `"example.com"`)
	if err != nil {
		return nil, err
	}
	return s, checkServerName(s)
}

// checkServerName adds words to mxid's law (appendices/#server-name), and refuses
// upper case, which is legal there but makes two servers of one name.
func checkServerName(s string) error {
	switch lower := strings.ToLower(s); {
	case s == "":
		return errors.New(`is empty; write your domain, for example "example.com"`)
	case strings.Contains(s, "://"):
		return fmt.Errorf("%q is a URL; write only the name, for example %q", s, hostOfURL(s))
	case s[0] == '@':
		return fmt.Errorf("%q is a user id; write only the part behind the colon", s)
	case lower != s:
		return fmt.Errorf("%q has capital letters; write %q", s, lower)
	case len(s) > maxServerName:
		return fmt.Errorf("%q leaves no room for user names; write a name of at most %d characters", s, maxServerName)
	}
	if port := mxid.ServerName(s).Port(); port != "" {
		if _, err := portNumber(port); err != nil {
			return fmt.Errorf("%q has the port %q; write a number from 1 to 65535 behind the colon, or no colon", s, port)
		}
	}
	if _, err := mxid.ParseServerName(s); err != nil && s[0] == '[' {
		return fmt.Errorf("%q is no IPv6 address in brackets; write for example \"[2001:db8::7]\"", s)
	} else if err != nil {
		return fmt.Errorf("%q is not a host name; use only a-z, 0-9, \"-\" and \".\", for example \"example.com\"", s)
	}
	return nil
}

// parseURL takes an address of a web page, or "".
func parseURL(v any, _ fieldTag) (any, error) {
	const example = `"https://example.com/page"`
	s, err := wantString(v, example)
	if err != nil || s == "" {
		return s, err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%q is no address of a web page; write one such as %s", s, example)
	}
	return s, nil
}

// maxServerName leaves 24 of a user id's 255 bytes to the localpart.
const maxServerName = 230

func hostOfURL(s string) string {
	if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "example.com"
}

// portNumber allows no sign and no leading zero, unlike strconv alone.
func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, errors.New("not a port")
	}
	return uint16(n), nil
}

// parseAddress wants somewhere to listen: "host:port", ":port", a bare port
// number, or "" for nowhere. Port 0 asks the system for a free one.
func parseAddress(v any, _ fieldTag) (any, error) {
	if n, ok := v.(int64); ok {
		if n < 1 || n > 65535 {
			return nil, fmt.Errorf("%d is not a port; write a number from 1 to 65535", n)
		}
		return fmt.Sprintf(":%d", n), nil
	}
	s, err := wantString(v, `":8008" or "127.0.0.1:8008"`)
	if err != nil || s == "" {
		return s, err
	}
	if strings.Contains(s, "://") {
		return nil, fmt.Errorf("%q is a URL; write only the address and port, for example \"127.0.0.1:8008\"", s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return nil, fmt.Errorf("%q has no port; write for example %q", s, net.JoinHostPort(a.String(), "8008"))
	}
	if _, err := portNumber(s); err == nil {
		return ":" + s, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not host:port; write for example \":8008\" or \"127.0.0.1:8008\"", s)
	}
	if _, err := portNumber(port); err != nil && port != "0" {
		return nil, fmt.Errorf("%q has the port %q; write a number from 1 to 65535", s, port)
	}
	if host == "" || host == "localhost" {
		return s, nil
	}
	if host == "*" {
		return nil, fmt.Errorf("%q has a star; write %q for every address of this machine", s, ":"+port)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return nil, fmt.Errorf("%q listens on the name %q; write an address of this machine, or %q for all of them", s, host, ":"+port)
	}
	return s, nil
}

func parseDatabase(v any, _ fieldTag) (any, error) {
	const example = `"postgres://user:password@localhost:5432/hearth"`
	s, err := wantString(v, example+` or ""`)
	if err != nil || s == "" {
		return s, err
	}
	u, err := url.Parse(s)
	if err != nil {
		// the cause would repeat the URL, and with it the password
		return nil, errors.New("is not a URL; write " + example + ", with special characters in the password as %XX")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New(`is not a PostgreSQL URL; write ` + example + `, or "" for the embedded database`)
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("names no database; write its name at the end, as in " + example)
	}
	return s, nil
}
