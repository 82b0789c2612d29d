// Package control lets the operator's commands speak to a running server: JSON
// over HTTP on a unix socket in the data directory. Who may open the socket is
// the operator; there are no passwords here.
//
// It refuses to know how accounts work: it carries the Admin interface from one
// process to another, and nothing else.
package control

import "context"

// Admin is what the operator's commands need from a server, running or opened
// for one command. Refusals are *mxerr.Error.
type Admin interface {
	// AddUser makes an account. The localpart is lower-cased by nobody: a wrong
	// one is M_INVALID_USERNAME, a taken one M_USER_IN_USE. An empty displayName
	// means the localpart.
	AddUser(ctx context.Context, localpart, password string, admin bool, displayName string) (userID string, err error)

	// Users lists at most limit accounts, in the order of their ids, after the
	// id from ("" for the first page).
	Users(ctx context.Context, from string, limit int) ([]User, error)

	// SetPassword gives a user a new password. user is an id or a localpart, here
	// and below; an unknown one is M_NOT_FOUND.
	SetPassword(ctx context.Context, user, password string, logoutDevices bool) error

	// Deactivate closes an account for ever. With erase, its messages are hidden
	// from people who join later.
	Deactivate(ctx context.Context, user string, erase bool) error

	// CreateToken stores a registration token and returns it. An empty t.Token
	// means a random one; a taken one is M_INVALID_PARAM.
	CreateToken(ctx context.Context, t RegistrationToken) (RegistrationToken, error)

	// Tokens lists the registration tokens, dead ones included.
	Tokens(ctx context.Context) ([]RegistrationToken, error)

	// RevokeToken removes a registration token; an unknown one is M_NOT_FOUND.
	RevokeToken(ctx context.Context, token string) error
}

// User is one account as the operator sees it.
type User struct {
	ID          string `json:"user_id"`
	DisplayName string `json:"displayname"`
	Admin       bool   `json:"admin"`
	Guest       bool   `json:"guest"`
	Deactivated bool   `json:"deactivated"`
	CreatedMS   int64  `json:"created_ms"` // milliseconds since 1970
}

// RegistrationToken lets its holder make accounts. The JSON is that of Synapse's
// admin API, so that scripts know it already.
type RegistrationToken struct {
	Token       string `json:"token"`
	UsesAllowed *int64 `json:"uses_allowed"` // nil means any number
	Pending     int64  `json:"pending"`      // registrations under way
	Completed   int64  `json:"completed"`    // registrations done
	ExpiryMS    *int64 `json:"expiry_time"`  // milliseconds since 1970, nil means never
}
