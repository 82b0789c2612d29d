package account

import (
	"fmt"
	"testing"

	"hearth/matrix/mxerr"
)

// What hearth user and hearth token do.
func TestOperatorsCommands(t *testing.T) {
	each(t, func(o *Options) { o.Mode = Closed }, func(t *testing.T, e *Engine, c *clock) {
		ctx := t.Context()
		for _, name := range []string{"carol", "alice", "bob"} {
			must(e.AddUser(ctx, name, "pw", name == "alice", ""))
		}
		_, err := e.AddUser(ctx, "alice", "pw", false, "")
		wantCode(t, err, mxerr.UserInUse)
		_, err = e.AddUser(ctx, "Dave", "pw", false, "")
		wantCode(t, err, mxerr.InvalidUsername)
		must(e.AddUser(ctx, "dave", "pw", false, "Big D"))

		var pages []string
		after := ""
		for {
			page, _, err := e.Users(ctx, UserFilter{After: after, Limit: 3})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			line := ""
			for _, u := range page {
				line += fmt.Sprintf("%s %v, ", u.DisplayName, u.Admin)
				after = string(u.ID)
			}
			pages = append(pages, line)
		}
		if got, want := fmt.Sprint(pages), "[alice true, bob false, carol false,  Big D false, ]"; got != want {
			t.Errorf("pages %s, want %s", got, want)
		}

		login := func(password string) error {
			return second(e.Login(ctx, LoginRequest{Identifier: Identifier{Type: "m.id.user", User: "bob"}, Password: password}))
		}
		if err := e.SetPassword(ctx, "bob", "new", true); err != nil {
			t.Error(err)
		}
		wantCode(t, login("pw"), mxerr.Forbidden)
		if err := login("new"); err != nil {
			t.Error(err)
		}
		wantCode(t, e.SetPassword(ctx, "nobody", "x", true), mxerr.NotFound)
		wantCode(t, e.SetPassword(ctx, "bob", "", true), mxerr.MissingParam)
		if err := e.Deactivate(ctx, "@bob:example.test", true); err != nil {
			t.Error(err)
		}
		wantCode(t, login("new"), mxerr.UserDeactivated)
		wantCode(t, e.SetPassword(ctx, "bob", "x", true), mxerr.UserDeactivated)
		wantCode(t, e.Deactivate(ctx, "@bob:elsewhere.test", true), mxerr.NotFound)

		made := must(e.CreateToken(ctx, RegistrationToken{}))
		must(e.CreateToken(ctx, RegistrationToken{Token: "mine"}))
		_, err = e.CreateToken(ctx, RegistrationToken{Token: "mine"})
		wantCode(t, err, mxerr.InvalidParam)
		_, err = e.CreateToken(ctx, RegistrationToken{Token: "not/mine"})
		wantCode(t, err, mxerr.InvalidParam)
		if err := e.RevokeToken(ctx, made.Token); err != nil {
			t.Error(err)
		}
		wantCode(t, e.RevokeToken(ctx, made.Token), mxerr.NotFound)
		if list := must(e.Tokens(ctx)); len(list) != 1 || list[0].Token != "mine" {
			t.Errorf("tokens: %v", list)
		}
		_, err = e.Register(ctx, Registration{Username: "eve", Password: "x"}, dummy, "127.0.0.1")
		wantCode(t, err, mxerr.Forbidden)
	})
}
