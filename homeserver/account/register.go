package account

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"hearth/auth/password"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Registration is what somebody asks for who wants an account.
type Registration struct {
	Username     string // "" for one that the server makes up
	Password     string
	Device       string // "" for a new one
	DeviceName   string
	InhibitLogin bool
	Refresh      bool // whether the client can refresh tokens
	// GuestToken is the access token of a guest whose account this is to become
	// (client-server-api/#guest-access); "" for a new account.
	GuestToken string
}

// Register makes an account and, unless InhibitLogin, opens its first device.
// The error is *Challenge if the client must authenticate first. Others are
// M_FORBIDDEN if registration is closed, M_USER_IN_USE, M_INVALID_USERNAME,
// M_EXCLUSIVE.
func (e *Engine) Register(ctx context.Context, r Registration, auth *Auth, addr string) (Grant, error) {
	if e.Mode == Closed {
		return Grant{}, mxerr.New(mxerr.Forbidden, "Registration is disabled on this server")
	}
	blank := r == Registration{}
	if err := e.checkRegistration(ctx, r); err != nil {
		return Grant{}, err
	}
	s, err := e.interact(ctx, operation{
		name: "register", addr: addr, flows: e.registrationFlows(addr), request: r, blank: blank, proof: ToRegister,
	}, auth)
	if err != nil {
		return Grant{}, err
	}
	g, err := e.register(ctx, s)
	if err != nil {
		e.release(s)
	}
	return g, err
}

// registrationFlows are the ways to an account. They end with m.login.dummy where
// one could stop half-way through another.
func (e *Engine) registrationFlows(addr string) []Flow {
	var base []string
	if e.Captcha != nil {
		base = append(base, stageCaptcha)
	}
	if e.Mode != Open || e.OpenOnlyFrom != nil && !e.OpenOnlyFrom(addr) {
		base = append(base, stageToken)
	}
	if e.Terms.Version != "" {
		base = append(base, stageTerms)
	}
	with := func(more ...string) Flow { return Flow{append(slices.Clone(base), more...)} }
	switch {
	case e.Mail != nil && e.Email == "required":
		return []Flow{with(stageEmail)}
	case e.Mail != nil && e.Email == "optional":
		return []Flow{with(stageEmail), with(stageDummy)}
	case len(base) == 0:
		return []Flow{with(stageDummy)}
	}
	return []Flow{with()}
}

func (e *Engine) register(ctx context.Context, s *interaction) (Grant, error) {
	r := s.request.(Registration)
	if r.Password == "" {
		return Grant{}, mxerr.New(mxerr.MissingParam, "The password is missing")
	}
	n := NewUser{Localpart: strings.ToLower(r.Username), Password: r.Password, RegistrationToken: s.token, proof: s.address}
	if slices.Contains(s.completed, stageTerms) {
		n.Consent = e.Terms.Version
	}
	if r.GuestToken != "" {
		return e.upgradeGuest(ctx, r, n)
	}
	if n.Localpart == "" {
		n.Localpart = madeUpName()
	}
	if r.InhibitLogin {
		user, err := e.Create(ctx, n)
		return Grant{User: user}, err
	}
	return e.CreateAndLogin(ctx, n, r.Device, r.DeviceName, r.Refresh)
}

// checkRegistration finds what is wrong before anybody has to authenticate.
func (e *Engine) checkRegistration(ctx context.Context, r Registration) error {
	if err := checkDevice(r.Device, r.DeviceName); err != nil {
		return err
	}
	if err := checkNewPassword(r.Password); err != nil {
		return err
	}
	if r.GuestToken != "" {
		_, err := e.guestOf(ctx, r)
		return err
	}
	if r.Username == "" {
		return nil
	}
	return e.Available(ctx, strings.ToLower(r.Username))
}

// Available returns nil if an account of that localpart can be made, or
// M_INVALID_USERNAME, M_EXCLUSIVE, M_USER_IN_USE.
func (e *Engine) Available(ctx context.Context, localpart string) error {
	if err := e.checkName(localpart); err != nil {
		return err
	}
	if e.Exclusive != nil && e.Exclusive(localpart) {
		return mxerr.New(mxerr.Exclusive, "This user name is reserved for an application service")
	}
	return e.db.Read(ctx, func(tx *db.Tx) error {
		switch _, err := store.UserByID(tx, string(e.id(localpart))); err {
		case db.ErrNoRow:
			return nil
		case nil:
			return errInUse()
		default:
			return err
		}
	})
}

// checkServiceName is checkName for the users of application services, whose names
// may be of the old grammar (appendices/#historical-user-ids): bridges of mautrix
// call themselves by capital letters, others keep the case of foreign names.
func (e *Engine) checkServiceName(localpart string) error {
	if _, err := mxid.ParseUserID(string(e.id(localpart))); err != nil || localpart == "" {
		return mxerr.New(mxerr.InvalidUsername, "User name may not be %q", localpart)
	}
	return nil
}

func (e *Engine) checkName(localpart string) error {
	if err := mxid.ValidLocalpart(localpart); err != nil {
		return err
	}
	if len(localpart) > e.ServerName.MaxLocalpart() {
		return mxerr.New(mxerr.InvalidUsername, "User name is too long")
	}
	return nil
}

func errInUse() error { return mxerr.New(mxerr.UserInUse, "User ID already taken.") }

// RegisterGuest makes an account without password that can look around
// (client-server-api/#guest-access).
func (e *Engine) RegisterGuest(ctx context.Context, deviceName string) (Grant, error) {
	if !e.Guests {
		return Grant{}, mxerr.New(mxerr.GuestAccessForbidden, "Guests are not welcome on this server")
	}
	if err := checkDevice("", deviceName); err != nil {
		return Grant{}, err
	}
	name := strconv.FormatInt(rand.Int64N(9e15)+1e15, 10)
	return e.CreateAndLogin(ctx, NewUser{Localpart: name, Guest: true}, "", deviceName, false)
}

// madeUpName is for those who do not care: ten letters.
func madeUpName() string { return strings.ToLower(mxid.RandomString(10)) }

// NewUser is an account to be made. Who may make it has been decided.
type NewUser struct {
	Localpart         string
	Password          string  // "" for none: nobody can log in before it gets one
	DisplayName       *string // nil means the localpart
	Admin             bool
	Guest             bool
	Service           bool   // of an application service, which may use names of the old grammar
	Kind              string // "", "bot" or "support"
	RegistrationToken string // counted as used, "" for none
	Consent           string // version of the terms that was agreed to, "" for none

	proof store.Proof // of a mail address, with SID "" for none
}

// Create makes an account. The error is M_USER_IN_USE or M_INVALID_USERNAME.
func (e *Engine) Create(ctx context.Context, n NewUser) (mxid.UserID, error) {
	user := e.id(n.Localpart)
	return user, e.create(ctx, n, nil)
}

// CreateAndLogin makes an account and opens its first device.
func (e *Engine) CreateAndLogin(ctx context.Context, n NewUser, device, deviceName string, refresh bool) (Grant, error) {
	g := e.grant(e.id(n.Localpart), device, refresh)
	return g, e.create(ctx, n, func(tx *db.Tx) error { return e.openDevice(tx, g, deviceName) })
}

// guestOf finds the guest who wants to stay. They must name themselves.
func (e *Engine) guestOf(ctx context.Context, r Registration) (*Session, error) {
	s, err := e.Authenticate(ctx, r.GuestToken, Client{})
	if err != nil || !s.Guest {
		return nil, mxerr.New(mxerr.Forbidden, "guest_access_token is not of a guest")
	}
	if r.Username != s.User.Localpart() {
		return nil, mxerr.New(mxerr.InvalidUsername, "The user name must be the guest's, %s", s.User.Localpart())
	}
	return s, nil
}

// upgradeGuest makes a guest's account a person's. What the guest was doing goes
// on with the old access token.
func (e *Engine) upgradeGuest(ctx context.Context, r Registration, n NewUser) (Grant, error) {
	s, err := e.guestOf(ctx, r)
	if err != nil {
		return Grant{}, err
	}
	hashed, err := e.hashNew(ctx, n.Password)
	if err != nil {
		return Grant{}, err
	}
	g := e.grant(s.User, r.Device, r.Refresh)
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := store.UserByID(tx, string(s.User))
		if err == nil && (!u.Guest || u.Deactivated) {
			err = errInUse()
		}
		if err != nil {
			return err
		}
		u.Guest, u.Password = false, hashed
		e.agreed(&u, n)
		if err := store.UpdateUser(tx, u); err != nil {
			return err
		}
		if err := e.useProofs(tx, u.ID, n); err != nil {
			return err
		}
		e.forget(tx, u.ID, "")
		if r.InhibitLogin {
			return nil
		}
		return e.openDevice(tx, g, r.DeviceName)
	})
	if r.InhibitLogin {
		g = Grant{User: s.User}
	}
	return g, err
}

func (e *Engine) agreed(u *store.User, n NewUser) {
	if n.Consent != "" {
		u.Consent, u.ConsentAt = n.Consent, e.nowMS()
	}
}

// useProofs uses up what a new user has shown.
func (e *Engine) useProofs(tx *db.Tx, user string, n NewUser) error {
	if err := e.useToken(tx, n.RegistrationToken); err != nil || n.proof.SID == "" {
		return err
	}
	if err := e.addThreepidTx(tx, user, n.proof.Medium, n.proof.Address, n.proof.Validated); err != nil {
		return err
	}
	return store.DeleteProof(tx, n.proof.SID)
}

// useToken counts a registration token as used; "" is none.
func (e *Engine) useToken(tx *db.Tx, token string) error {
	if token == "" {
		return nil
	}
	ok, err := store.UseRegistrationToken(tx, token, e.nowMS())
	if err == nil && !ok {
		err = errToken()
	}
	return err
}

func (e *Engine) create(ctx context.Context, n NewUser, also func(*db.Tx) error) error {
	check := e.checkName
	if n.Service {
		check = e.checkServiceName
	}
	if err := check(n.Localpart); err != nil {
		return err
	}
	hashed, err := e.hashNew(ctx, n.Password)
	if err != nil {
		return err
	}
	u := store.User{
		ID: string(e.id(n.Localpart)), Created: e.nowMS(), Password: hashed,
		Admin: n.Admin, Guest: n.Guest, Kind: n.Kind,
	}
	e.agreed(&u, n)
	name, err := firstName(n)
	if err != nil {
		return err
	}
	return e.db.Write(ctx, func(tx *db.Tx) error {
		fresh, err := store.InsertUser(tx, u)
		if err != nil {
			return err
		}
		if !fresh {
			return errInUse()
		}
		if err := e.useProofs(tx, u.ID, n); err != nil {
			return err
		}
		if name != nil {
			if err := store.SetProfileValue(tx, u.ID, "displayname", string(name)); err != nil {
				return err
			}
		}
		if also == nil {
			return nil
		}
		return also(tx)
	})
}

// firstName is the display name as JSON, or nil. People are called by their
// user name until they choose something nicer; guests have none.
func firstName(n NewUser) (json.RawMessage, error) {
	name := n.Localpart
	if n.DisplayName != nil {
		name = *n.DisplayName
	}
	if n.Guest || name == "" {
		return nil, nil
	}
	value, err := json.Marshal(name)
	if err != nil {
		return nil, err
	}
	return value, checkField("displayname", value)
}

// hashNew hashes a new password. "" stays "", which is no password.
func (e *Engine) hashNew(ctx context.Context, pass string) (string, error) {
	if pass == "" {
		return "", nil
	}
	if err := checkNewPassword(pass); err != nil {
		return "", err
	}
	return e.Hasher.Hash(ctx, pass)
}

func checkNewPassword(pass string) error {
	if len(pass) > password.MaxLen {
		return mxerr.New(mxerr.InvalidParam, "The password is longer than %d bytes", password.MaxLen)
	}
	return nil
}
