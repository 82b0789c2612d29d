package clientapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"hearth/api/httpx"
	"hearth/api/page"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// fallbackRoutes are the pages for what a client does not know how to ask
// (client-server-api/#fallback, client-server-api/#login-fallback).
func (a *Accounts) fallbackRoutes() []httpx.Route {
	login := func(title, do string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { page.Write(w, "login", page.Login{Title: title, Do: do}) })
	}
	return []httpx.Route{{
		Pattern: "GET /auth/{authType}/fallback/web",
		Handler: http.HandlerFunc(a.fallback),
	}, {
		Pattern: "POST /auth/{authType}/fallback/web",
		Limit:   "account",
		MaxBody: smallBody,
		Handler: http.HandlerFunc(a.fallback),
	}, {
		Pattern: "GET /_matrix/static/client/login/{$}",
		In:      httpx.Root,
		Handler: login("Log in", "login"),
	}, {
		Pattern: "GET /_matrix/static/client/register/{$}",
		In:      httpx.Root,
		Handler: login("Make an account", "register"),
	}, {
		Pattern: "GET " + page.Static + "page.css",
		In:      httpx.Root,
		Handler: page.Asset("page.css"),
	}, {
		Pattern: "GET " + page.Static + "done.js",
		In:      httpx.Root,
		Handler: page.Asset("done.js"),
	}, {
		Pattern: "GET " + page.Static + "login.js",
		In:      httpx.Root,
		Handler: page.Asset("login.js"),
	}, {
		Pattern: "GET /consent",
		In:      []string{"/_matrix/client"},
		Handler: http.HandlerFunc(a.consent),
	}, {
		Pattern: "POST /consent",
		In:      []string{"/_matrix/client"},
		Limit:   "account",
		MaxBody: smallBody,
		Handler: http.HandlerFunc(a.consent),
	}}
}

// fallback shows a stage of user-interactive authentication, and does it.
func (a *Accounts) fallback(w http.ResponseWriter, r *http.Request) {
	stage, session := r.PathValue("authType"), r.URL.Query().Get("session")
	err := form(r)
	switch {
	case err == nil && !slices.Contains(account.Stages(), stage):
		err = mxerr.New(mxerr.NotFound, "There is no such kind of authentication here")
	case err == nil && session == "":
		err = missing("session")
	}
	if err != nil {
		httpx.Fail(w, r, err)
		return
	}
	s, err := a.Engine.Web(session, stage)
	wrong := ""
	if err == nil && !s.Done && r.Method == http.MethodPost {
		var next page.Form
		if next, err = a.fallbackStep(r, s, session); err == nil && next.Button != "" {
			page.Write(w, "form", next)
			return
		}
		if err != nil && mxerr.From(err).HTTPStatus() < 500 {
			wrong, err = mxerr.From(err).Text, nil
		}
		s.Done = wrong == ""
	}
	switch {
	case err != nil && mxerr.From(err).Code == mxerr.NotFound:
		page.Write(w, "message", page.Message{Title: "Too late", Lines: []string{mxerr.From(err).Text}})
	case err != nil:
		httpx.Fail(w, r, err)
	case s.Done:
		page.Write(w, "message", page.Message{Title: "Done", Lines: []string{"Go back to your client. You can close this page."}, Done: true})
	case s.Stage == "m.login.recaptcha":
		page.WriteCaptcha(w, page.Captcha{Wrong: wrong, Key: a.Engine.CaptchaKey})
	default:
		f := stageForm(s)
		f.Wrong = wrong
		if creds := r.PostForm; creds.Get("sid") != "" { // the mail is under way
			f = proofForm(s.Stage, creds.Get("sid"), creds.Get("client_secret"))
			f.Wrong = wrong
		}
		page.Write(w, "form", f)
	}
}

// form reads the fields that a browser has posted.
func form(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		_, err := httpx.Body(r) // from a program, which wants to know what is wrong
		return err
	}
	if err := r.ParseForm(); err != nil {
		return &mxerr.Error{Code: mxerr.InvalidParam, Text: "The form could not be read", Cause: err}
	}
	return nil
}

// stageForm is what a stage asks.
func stageForm(s account.WebStage) page.Form {
	switch s.Stage {
	case "m.login.password":
		return page.Form{
			Title: "Type your password", Lines: []string{"for " + string(s.User)}, Button: "Go on",
			Fields: []page.Field{{Name: "password", Label: "Password", Type: "password", Complete: "current-password"}},
		}
	case "m.login.registration_token":
		return page.Form{
			Title: "Registration token", Lines: []string{"Those who run this server give you one."}, Button: "Go on",
			Fields: []page.Field{{Name: "token", Label: "Token", Type: "text", Complete: "off"}},
		}
	case "m.login.terms":
		f := page.Form{Title: "Terms of use", Lines: []string{"Please read:"}, Button: "I agree"}
		for _, p := range s.Policies {
			f.Links = append(f.Links, page.Link{Name: p.Name, URL: p.URL})
		}
		return f
	case "m.login.email.identity":
		return page.Form{
			Title: "Your mail address", Lines: []string{"You get a mail with a link."}, Button: "Send the mail",
			Fields: []page.Field{{Name: "address", Label: "Mail address", Type: "email", Complete: "email"}},
		}
	}
	if s.Stage == "m.login.msisdn" {
		return page.Form{
			Title: "Your phone number", Lines: []string{"You get a message with a code."}, Button: "Send the code",
			Fields: []page.Field{{Name: "address", Label: "Number, with + and the country's code", Type: "tel", Complete: "tel"}},
		}
	}
	return page.Form{Title: "Go on", Button: "Go on"}
}

// proofForm waits for what was sent.
func proofForm(stage, sid, secret string) page.Form {
	f := page.Form{
		Title: "Look into your mail", Lines: []string{"Open the link in the mail that you got, and confirm. Then come back."}, Button: "I have confirmed",
		Hidden: []page.Hidden{{Name: "sid", Value: sid}, {Name: "client_secret", Value: secret}},
	}
	if stage == "m.login.msisdn" {
		f.Title, f.Lines, f.Button = "Look at your phone", []string{"Type the code that you got."}, "Go on"
		f.Fields = []page.Field{{Name: "code", Label: "Code", Type: "text", Complete: "one-time-code"}}
	}
	return f
}

// fallbackStep does what a form asks for. A next form comes before the stage is
// done.
func (a *Accounts) fallbackStep(r *http.Request, s account.WebStage, session string) (next page.Form, err error) {
	ctx, posted := r.Context(), r.PostForm
	phone := s.Stage == "m.login.msisdn"
	creds := account.ThreepidCreds{SID: posted.Get("sid"), ClientSecret: posted.Get("client_secret")}
	if (phone || s.Stage == "m.login.email.identity") && creds.SID == "" {
		ask := account.ProofRequest{Purpose: s.Purpose, Address: posted.Get("address"), ClientSecret: mxid.RandomString(32), Attempt: 1}
		if phone {
			ask.Medium = "msisdn"
		}
		p, err := a.Engine.RequestProof(ctx, ask)
		if err != nil {
			return page.Form{}, err
		}
		return proofForm(s.Stage, p.SID, ask.ClientSecret), nil
	}
	if phone {
		if _, err := a.Engine.ConfirmProof(ctx, creds, posted.Get("code")); err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				err = mxerr.New(mxerr.Unauthorized, "This is not the code")
			}
			return page.Form{}, err
		}
	}
	auth := &account.Auth{
		Type: s.Stage, Session: session, Password: posted.Get("password"), Token: posted.Get("token"), Creds: creds,
		Response: posted.Get("g-recaptcha-response"),
	}
	return page.Form{}, a.Engine.DoWeb(ctx, session, auth, httpx.Addr(ctx))
}

// consent is the page on which somebody agrees to the terms who was here before
// them. The link to it is in M_CONSENT_NOT_GIVEN.
func (a *Accounts) consent(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	err := form(r)
	var user mxid.UserID
	if err == nil {
		user, err = mxid.ParseUserID(q.Get("u"))
	}
	if err == nil {
		err = a.Engine.CheckConsent(user, q.Get("v"), q.Get("h"))
	}
	if err == nil && r.Method == http.MethodPost {
		err = a.Engine.Agree(r.Context(), user, q.Get("v"))
	}
	switch {
	case err != nil:
		httpx.Fail(w, r, err)
	case r.Method == http.MethodPost:
		page.Write(w, "message", page.Message{Title: "Thank you", Lines: []string{"Go back to your client. You can close this page."}})
	default:
		f := page.Form{Title: "Terms of use", Lines: []string{"The terms of this server, for " + string(user) + ". Please read:"}, Button: "I agree"}
		for _, p := range a.Engine.Terms.Policies() {
			f.Links = append(f.Links, page.Link{Name: p.Name, URL: p.URL})
		}
		page.Write(w, "form", f)
	}
}

// originOf is the origin of a link, for the policy of a page that leads there.
func originOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
