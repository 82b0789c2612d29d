// Package mxid holds Matrix identifiers as string types whose values have been
// parsed (appendices/#identifier-grammar). It does not know whether the user,
// room or server behind an identifier exists.
package mxid

import (
	"strings"
	"unicode/utf8"

	"hearth/matrix/mxerr"
)

// MaxLen is the greatest length of an identifier in bytes, sigil and server
// name included.
const MaxLen = 255

// The identifiers. A value of these types has been accepted by the Parse
// function of its name, or comes from an event that was.
type (
	UserID    string // "@localpart:server"
	RoomID    string // "!opaque:server", or "!" + 43 characters from room version 12 on
	EventID   string // "$opaque:server", or "$" + 43 characters from room version 3 on
	RoomAlias string // "#localpart:server"
)

// ParseUserID accepts every user id that may occur in a room: localparts of the
// historical grammar, even the empty one, are fine (appendices/#historical-user-ids).
// The error is an *mxerr.Error with M_INVALID_PARAM.
func ParseUserID(s string) (UserID, error) {
	if err := check(s, '@', "user id"); err != nil {
		return "", err
	}
	return UserID(s), nil
}

// NewUserID joins localpart and server. The caller has seen to it that the
// localpart is valid, by ValidLocalpart for a user of its own.
func NewUserID(localpart string, server ServerName) UserID {
	return UserID("@" + localpart + ":" + string(server))
}

// Localpart is what stands between "@" and the first colon.
func (u UserID) Localpart() string { return localpart(string(u)) }

// Server is the server name of the user.
func (u UserID) Server() ServerName { return ServerOf(string(u)) }

// ParseRoomAlias accepts "#localpart:server". The error is M_INVALID_PARAM.
func ParseRoomAlias(s string) (RoomAlias, error) {
	if err := check(s, '#', "room alias"); err != nil {
		return "", err
	}
	return RoomAlias(s), nil
}

// Localpart is what stands between "#" and the first colon.
func (a RoomAlias) Localpart() string { return localpart(string(a)) }

// Server is the server that can resolve the alias.
func (a RoomAlias) Server() ServerName { return ServerOf(string(a)) }

// ParseRoomID accepts room ids with a server name and those of room version 12,
// which are the hash of the create event. The error is M_INVALID_PARAM.
func ParseRoomID(s string) (RoomID, error) {
	if isHashID(s, '!') {
		return RoomID(s), nil
	}
	if err := check(s, '!', "room id"); err != nil {
		return "", err
	}
	return RoomID(s), nil
}

// Server is the server name in the room id, or "" for a room id that is the
// hash of its create event. It says nothing about who is in the room.
func (r RoomID) Server() ServerName { return ServerOf(string(r)) }

// ParseEventID accepts the event ids of all room versions. Ids without a server
// name are opaque, so anything printable behind "$" passes. The error is
// M_INVALID_PARAM.
func ParseEventID(s string) (EventID, error) {
	if len(s) < 2 || s[0] != '$' {
		return "", invalid("event id", s, "it must start with \"$\"")
	}
	if len(s) > MaxLen {
		return "", invalid("event id", s, "it is longer than 255 bytes")
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", invalid("event id", s, "it has characters that are not allowed")
	}
	return EventID(s), nil
}

// Server is the server name in ids of room versions 1 and 2, else "".
func (e EventID) Server() ServerName { return ServerOf(string(e)) }

// ServerOf returns what follows the first colon of an identifier, or "" if there
// is no colon.
func ServerOf(id string) ServerName {
	_, server, _ := strings.Cut(id, ":")
	return ServerName(server)
}

func localpart(id string) string {
	if id == "" {
		return ""
	}
	local, _, _ := strings.Cut(id[1:], ":")
	return local
}

// check verifies sigil, length, localpart and server name of an identifier that
// has a server.
func check(s string, sigil byte, kind string) error {
	if s == "" || s[0] != sigil {
		return invalid(kind, s, "it must start with \""+string(sigil)+"\"")
	}
	if len(s) > MaxLen {
		return invalid(kind, s, "it is longer than 255 bytes")
	}
	local, server, ok := strings.Cut(s[1:], ":")
	if !ok {
		return invalid(kind, s, "it has no server name")
	}
	if !utf8.ValidString(local) || strings.IndexByte(local, 0) >= 0 {
		return invalid(kind, s, "it has characters that are not allowed")
	}
	if !validServerName(server) {
		return invalid(kind, s, "its server name is not valid")
	}
	return nil
}

// isHashID reports whether s is sigil + URL-safe unpadded base64 of 32 bytes.
func isHashID(s string, sigil byte) bool {
	if len(s) != 44 || s[0] != sigil {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func invalid(kind, s, why string) error {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "…"
	}
	return mxerr.New(mxerr.InvalidParam, "%q is not a valid %s: %s", s, kind, why)
}
