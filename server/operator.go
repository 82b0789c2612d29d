package server

import (
	"context"
	"time"

	"hearth/homeserver/account"
	"hearth/server/control"
)

// operator shows accounts to the operator's commands.
type operator struct{ accounts *account.Engine }

var _ control.Admin = operator{}

func (o operator) AddUser(ctx context.Context, localpart, password string, admin bool, displayName string) (string, error) {
	id, err := o.accounts.AddUser(ctx, localpart, password, admin, displayName)
	return string(id), err
}

func (o operator) Users(ctx context.Context, from string, limit int) ([]control.User, error) {
	list, _, err := o.accounts.Users(ctx, account.UserFilter{After: from, Limit: int64(limit)})
	if err != nil {
		return nil, err
	}
	out := make([]control.User, len(list))
	for i, u := range list {
		out[i] = control.User{
			ID: string(u.ID), DisplayName: u.DisplayName, Admin: u.Admin, Guest: u.Guest,
			Deactivated: u.Deactivated, CreatedMS: u.Created.UnixMilli(),
		}
	}
	return out, nil
}

func (o operator) SetPassword(ctx context.Context, user, password string, logoutDevices bool) error {
	return o.accounts.SetPassword(ctx, user, password, logoutDevices)
}

func (o operator) Deactivate(ctx context.Context, user string, erase bool) error {
	return o.accounts.Deactivate(ctx, user, erase)
}

func (o operator) CreateToken(ctx context.Context, t control.RegistrationToken) (control.RegistrationToken, error) {
	draft := account.RegistrationToken{Token: t.Token, UsesAllowed: t.UsesAllowed}
	if t.ExpiryMS != nil {
		at := time.UnixMilli(*t.ExpiryMS)
		draft.Expires = &at
	}
	made, err := o.accounts.CreateToken(ctx, draft)
	return shownToken(made), err
}

func (o operator) Tokens(ctx context.Context) ([]control.RegistrationToken, error) {
	list, err := o.accounts.Tokens(ctx)
	out := make([]control.RegistrationToken, len(list))
	for i, t := range list {
		out[i] = shownToken(t)
	}
	return out, err
}

func shownToken(t account.RegistrationToken) control.RegistrationToken {
	out := control.RegistrationToken{Token: t.Token, UsesAllowed: t.UsesAllowed, Pending: t.Pending, Completed: t.Completed}
	if t.Expires != nil {
		ms := t.Expires.UnixMilli()
		out.ExpiryMS = &ms
	}
	return out
}

func (o operator) RevokeToken(ctx context.Context, token string) error {
	return o.accounts.RevokeToken(ctx, token)
}
