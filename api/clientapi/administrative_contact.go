package clientapi

import (
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/api/page"
	"hearth/homeserver/account"
	"hearth/matrix/mxerr"
)

func (a *Accounts) administrativeContactRoutes() []httpx.Route {
	// Clients have called some of these by their names in MSC2290.
	both := append([]string{"/_matrix/client/unstable"}, httpx.ClientV3...)
	return []httpx.Route{{
		Pattern: "GET /account/3pid",
		Auth:    httpx.User,
		Handler: httpx.JSON(a.getAccount3PIDs),
		Spec:    "getAccount3PIDs",
	}, {
		Pattern: "POST /account/3pid",
		Auth:    httpx.User,
		Limit:   "account",
		Handler: httpx.JSON(a.post3PIDs),
		Spec:    "post3PIDs",
	}, {
		Pattern: "POST /account/3pid/add",
		In:      both,
		Auth:    httpx.User,
		Limit:   "account",
		MaxBody: smallBody,
		Handler: interactive(a.add3PID),
		Spec:    "add3PID",
	}, {
		Pattern: "POST /account/3pid/bind",
		In:      both,
		Auth:    httpx.User,
		Limit:   "account",
		Handler: httpx.JSON(a.bind3PID),
		Spec:    "bind3PID",
	}, {
		Pattern: "POST /account/3pid/delete",
		In:      both,
		Auth:    httpx.User,
		Limit:   "account",
		Handler: httpx.JSON(a.delete3pidFromAccount),
		Spec:    "delete3pidFromAccount",
	}, {
		Pattern: "POST /account/3pid/unbind",
		In:      both,
		Auth:    httpx.User,
		Limit:   "account",
		Handler: httpx.JSON(a.unbind3pidFromAccount),
		Spec:    "unbind3pidFromAccount",
	}, {
		Pattern: "POST /account/3pid/email/requestToken",
		Limit:   "register",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.requestTokenFor(account.ToAdd)),
		Spec:    "requestTokenTo3PIDEmail",
	}, {
		Pattern: "POST /account/3pid/msisdn/requestToken",
		Limit:   "register",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.requestCodeFor(account.ToAdd)),
		Spec:    "requestTokenTo3PIDMSISDN",
	}, {
		Pattern: "POST " + submitCodePath,
		In:      httpx.Root,
		Limit:   "register",
		MaxBody: smallBody,
		Handler: httpx.JSON(a.submitCode),
	}, {
		Pattern: "GET /{purpose}/email/submit_token",
		In:      []string{"/_matrix/client/unstable"},
		Limit:   "register",
		Handler: http.HandlerFunc(a.submitToken),
	}, {
		Pattern: "POST /{purpose}/email/submit_token",
		In:      []string{"/_matrix/client/unstable"},
		Limit:   "register",
		MaxBody: smallBody,
		Handler: http.HandlerFunc(a.submitToken),
	}}
}

type threepid struct {
	Medium      string `json:"medium"`
	Address     string `json:"address"`
	ValidatedAt int64  `json:"validated_at"` // ms
	AddedAt     int64  `json:"added_at"`     // ms
}

type threepidsRes struct {
	Threepids []threepid `json:"threepids"`
}

// getAccount3PIDs: client-server-api/#get_matrixclientv3account3pid
func (a *Accounts) getAccount3PIDs(ctx context.Context, _ *http.Request, _ httpx.None) (threepidsRes, error) {
	all, err := a.Engine.Threepids(ctx, session(ctx).User)
	res := threepidsRes{make([]threepid, len(all))}
	for i, t := range all {
		res.Threepids[i] = threepid{t.Medium, t.Address, t.Validated.UnixMilli(), t.Added.UnixMilli()}
	}
	return res, err
}

// post3PIDs: client-server-api/#post_matrixclientv3account3pid. It is deprecated,
// and takes the word of an identity server; Hearth trusts none.
func (a *Accounts) post3PIDs(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, mxerr.New(mxerr.ThreepidAuthFailed, "This server trusts no identity server. Use /account/3pid/add")
}

type add3PIDReq struct {
	Auth *account.Auth `json:"auth"`
	account.ThreepidCreds
}

// add3PID: client-server-api/#post_matrixclientv3account3pidadd
func (a *Accounts) add3PID(ctx context.Context, _ *http.Request, req add3PIDReq) (httpx.None, error) {
	if req.SID == "" {
		return httpx.None{}, missing("sid")
	}
	if req.ClientSecret == "" {
		return httpx.None{}, missing("client_secret")
	}
	return httpx.None{}, a.Engine.AddThreepid(ctx, session(ctx), req.ThreepidCreds, req.Auth, httpx.Addr(ctx))
}

// bind3PID: client-server-api/#post_matrixclientv3account3pidbind. Hearth talks to
// no identity server: it would tell them who knows whom.
func (a *Accounts) bind3PID(context.Context, *http.Request, httpx.None) (httpx.None, error) {
	return httpx.None{}, mxerr.New(mxerr.ServerNotTrusted, "This server works with no identity server")
}

type addressReq struct {
	Medium  string `json:"medium"`
	Address string `json:"address"`
}

type unbindRes struct {
	Result string `json:"id_server_unbind_result"`
}

// delete3pidFromAccount: client-server-api/#post_matrixclientv3account3piddelete.
// Nothing was ever bound to an identity server.
func (a *Accounts) delete3pidFromAccount(ctx context.Context, _ *http.Request, req addressReq) (unbindRes, error) {
	return unbindRes{"no-support"}, a.Engine.DeleteThreepid(ctx, session(ctx).User, req.Medium, req.Address)
}

// unbind3pidFromAccount: client-server-api/#post_matrixclientv3account3pidunbind
func (a *Accounts) unbind3pidFromAccount(context.Context, *http.Request, addressReq) (unbindRes, error) {
	return unbindRes{"no-support"}, nil
}

type requestTokenReq struct {
	ClientSecret string `json:"client_secret"`
	Email        string `json:"email"`
	SendAttempt  int64  `json:"send_attempt"`
	NextLink     string `json:"next_link"`
}

type requestTokenRes struct {
	SID       string `json:"sid"`
	SubmitURL string `json:"submit_url,omitempty"`
	MSISDN    string `json:"msisdn,omitempty"` // some clients show it
}

// requestTokenFor is what sends mail with a link, such as requestTokenToRegisterEmail.
func (a *Accounts) requestTokenFor(purpose account.Purpose) func(context.Context, *http.Request, requestTokenReq) (requestTokenRes, error) {
	return func(ctx context.Context, _ *http.Request, req requestTokenReq) (requestTokenRes, error) {
		p, err := a.Engine.RequestProof(ctx, account.ProofRequest{
			Purpose: purpose, Address: req.Email, ClientSecret: req.ClientSecret, Attempt: req.SendAttempt, NextLink: req.NextLink,
		})
		return requestTokenRes{SID: p.SID}, err
	}
}

type requestCodeReq struct {
	ClientSecret string `json:"client_secret"`
	Country      string `json:"country"`
	PhoneNumber  string `json:"phone_number"`
	SendAttempt  int64  `json:"send_attempt"`
}

const submitCodePath = "/_matrix/client/unstable/add_threepid/msisdn/submit_token"

// requestCodeFor is what sends text messages with a code, such as
// requestTokenTo3PIDMSISDN.
func (a *Accounts) requestCodeFor(purpose account.Purpose) func(context.Context, *http.Request, requestCodeReq) (requestTokenRes, error) {
	return func(ctx context.Context, _ *http.Request, req requestCodeReq) (requestTokenRes, error) {
		p, err := a.Engine.RequestProof(ctx, account.ProofRequest{
			Purpose: purpose, Medium: "msisdn", Address: req.PhoneNumber, Country: req.Country, ClientSecret: req.ClientSecret, Attempt: req.SendAttempt,
		})
		return requestTokenRes{p.SID, a.Engine.PublicURL + submitCodePath, p.Address}, err
	}
}

type submitCodeReq struct {
	account.ThreepidCreds
	Token string `json:"token"`
}

type submitCodeRes struct {
	Success bool `json:"success"`
}

// submitCode is identity-service-api/#post_matrixidentityv2validatemsisdnsubmittoken.
func (a *Accounts) submitCode(ctx context.Context, _ *http.Request, req submitCodeReq) (submitCodeRes, error) {
	_, err := a.Engine.ConfirmProof(ctx, req.ThreepidCreds, req.Token)
	if err != nil && mxerr.From(err).Code == mxerr.NotFound {
		return submitCodeRes{false}, nil
	}
	return submitCodeRes{err == nil}, err
}

// submitToken is the page that the link in a mail leads to. It wants a click:
// programs that look at mail open links, too.
func (a *Accounts) submitToken(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		httpx.Fail(w, r, err)
		return
	}
	q := r.URL.Query()
	creds := account.ThreepidCreds{SID: q.Get("sid"), ClientSecret: q.Get("client_secret")}
	use := a.Engine.OpenedProof
	if r.Method == http.MethodPost {
		use = a.Engine.ConfirmProof
	}
	p, err := use(r.Context(), creds, q.Get("token"))
	switch {
	case err != nil && mxerr.From(err).Code == mxerr.NotFound:
		page.Write(w, "message", page.Message{Title: "This link does not work", Lines: []string{"It is wrong or too old. Ask for a new mail."}})
	case err != nil:
		httpx.Fail(w, r, err)
	case r.Method == http.MethodPost && p.NextLink != "":
		w.Header().Set("Referrer-Policy", "no-referrer") // the address holds secrets
		http.Redirect(w, r, p.NextLink, http.StatusSeeOther)
	case r.Method == http.MethodPost:
		page.Write(w, "message", page.Message{Title: "Thank you", Lines: []string{p.Address + " is confirmed. Go back to your client. You can close this page."}})
	default:
		f := page.Form{Title: "Confirm your mail address", Lines: []string{p.Address}, Button: "It is mine"}
		switch p.Purpose {
		case account.ToResetPassword:
			f.Title, f.Button = "A new password", "I want a new password"
		case account.ToAdd:
			f.Lines = append(f.Lines, "It will be added to an account on "+string(a.Engine.ServerName)+".")
		}
		if p.NextLink == "" {
			page.Write(w, "form", f)
			return
		}
		f.Lines = append(f.Lines, "Then you go on to "+originOf(p.NextLink)+".")
		page.Write(w, "form", f, originOf(p.NextLink)) // browsers count redirects, too
	}
}
