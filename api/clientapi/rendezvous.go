package clientapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"hearth/api/httpx"
	"hearth/homeserver/rendezvous"
	"hearth/matrix/mxerr"
)

// Rendezvous are the doors through which two devices meet to sign one of them in
// by a QR code.
type Rendezvous struct {
	Engine *rendezvous.Engine
	// Base is the address at which a request has reached this server.
	Base func(r *http.Request) (string, error)
}

// Routes are those of MSC4388, and those of MSC4108 as clients of 2024 know it.
func (a *Rendezvous) Routes() []httpx.Route {
	return slices.Concat(a.rendezvousRoutes(), a.textRendezvousRoutes())
}

func (a *Rendezvous) rendezvousRoutes() []httpx.Route {
	in := []string{"/_matrix/client/unstable/io.element.msc4388"}
	return []httpx.Route{
		{Pattern: "GET /rendezvous", In: in, Auth: httpx.Optional, Limit: "rendezvous", Handler: fresh(httpx.JSON(a.discover))},
		{Pattern: "POST /rendezvous", In: in, Auth: httpx.Optional, Limit: "rendezvous_new", MaxBody: smallBody, Handler: fresh(httpx.JSON(a.create))},
		{Pattern: "GET /rendezvous/{id}", In: in, Limit: "rendezvous", Handler: fresh(httpx.JSON(a.receive))},
		{Pattern: "PUT /rendezvous/{id}", In: in, Limit: "rendezvous", MaxBody: smallBody, Handler: fresh(httpx.JSON(a.send))},
		{Pattern: "DELETE /rendezvous/{id}", In: in, Limit: "rendezvous", MaxBody: smallBody, Handler: fresh(httpx.JSON(a.cancel))},
	}
}

// fresh keeps answers out of every cache.
func fresh(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
		h.ServeHTTP(w, r)
	})
}

type discoverRes struct {
	CreateAvailable bool `json:"create_available"`
}

// discover: MSC4388, "Discover if the rendezvous API is available"
func (a *Rendezvous) discover(context.Context, *http.Request, httpx.None) (discoverRes, error) {
	return discoverRes{true}, nil
}

type rendezvousReq struct {
	Data  *string `json:"data"`
	Token *string `json:"sequence_token"`
}

type rendezvousRes struct {
	ID        string  `json:"id,omitempty"`
	Data      *string `json:"data,omitempty"`
	Token     string  `json:"sequence_token"`
	ExpiresIn *int64  `json:"expires_in_ms,omitempty"`
}

func left(s rendezvous.Session) *int64 {
	ms := max(time.Until(s.Expires).Milliseconds(), 0)
	return &ms
}

// create: MSC4388, "Create a rendezvous session and send initial payload"
func (a *Rendezvous) create(_ context.Context, _ *http.Request, req rendezvousReq) (rendezvousRes, error) {
	if req.Data == nil {
		return rendezvousRes{}, missing("data")
	}
	s, err := a.Engine.Create(*req.Data)
	return rendezvousRes{ID: s.ID, Token: s.Token, ExpiresIn: left(s)}, err
}

// receive: MSC4388, "Receive a payload from a rendezvous session"
func (a *Rendezvous) receive(_ context.Context, r *http.Request, _ httpx.None) (rendezvousRes, error) {
	if err := notByHand(r); err != nil {
		return rendezvousRes{}, err
	}
	s, err := a.Engine.Get(r.PathValue("id"))
	return rendezvousRes{Data: &s.Data, Token: s.Token, ExpiresIn: left(s)}, err
}

// notByHand refuses what a person opens in a browser: else sessions could be used
// to show things in the server's name.
func notByHand(r *http.Request) error {
	h := r.Header
	dest := h.Get("Sec-Fetch-Dest")
	if dest != "" && dest != "empty" || h.Get("Sec-Fetch-Mode") == "navigate" || h.Get("Sec-Fetch-User") == "?1" || h.Get("Sec-Fetch-Site") == "none" {
		return mxerr.New(mxerr.Forbidden, "This is for apps, not for people")
	}
	return nil
}

// send: MSC4388, "Send a payload to an existing rendezvous"
func (a *Rendezvous) send(_ context.Context, r *http.Request, req rendezvousReq) (rendezvousRes, error) {
	switch {
	case req.Data == nil:
		return rendezvousRes{}, missing("data")
	case req.Token == nil:
		return rendezvousRes{}, missing("sequence_token")
	}
	s, err := a.Engine.Put(r.PathValue("id"), *req.Token, *req.Data)
	if errors.Is(err, rendezvous.ErrConflict) {
		err = mxerr.New("IO_ELEMENT_MSC4388_CONCURRENT_WRITE", "Somebody else has written meanwhile").WithStatus(http.StatusConflict)
		if s.Data == *req.Data {
			err = nil // the client did not get the answer
		}
	}
	return rendezvousRes{Token: s.Token}, err
}

// cancel: MSC4388, "cancel a rendezvous session"
func (a *Rendezvous) cancel(_ context.Context, r *http.Request, _ httpx.None) (empty, error) {
	return empty{}, a.Engine.Delete(r.PathValue("id"))
}

// textRendezvousRoutes are those of 2024, in which the text is the body and its
// version an ETag. Clients still use them.
func (a *Rendezvous) textRendezvousRoutes() []httpx.Route {
	in := []string{"/_matrix/client/unstable/org.matrix.msc4108"}
	return []httpx.Route{
		{Pattern: "POST /rendezvous", In: in, Limit: "rendezvous_new", MaxBody: rendezvous.MaxData, Handler: text(a.createText)},
		{Pattern: "GET /rendezvous/{id}", In: in, Limit: "rendezvous", Handler: text(a.receiveText)},
		{Pattern: "PUT /rendezvous/{id}", In: in, Limit: "rendezvous", MaxBody: rendezvous.MaxData, Handler: text(a.sendText)},
		{Pattern: "DELETE /rendezvous/{id}", In: in, Limit: "rendezvous", MaxBody: smallBody, Handler: text(a.cancelText)},
	}
}

func text(fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return fresh(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Expose-Headers", "ETag, Location, Expires, Last-Modified")
		if err := fn(w, r); err != nil {
			httpx.Fail(w, r, err)
		}
	}))
}

func describe(w http.ResponseWriter, s rendezvous.Session) {
	h := w.Header()
	h.Set("ETag", `"`+s.Token+`"`)
	h.Set("Expires", s.Expires.UTC().Format(http.TimeFormat))
	h.Set("Last-Modified", s.Modified.UTC().Format(http.TimeFormat))
}

// payload reads the text of a request.
func payload(r *http.Request) (string, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", uploadError(err)
	}
	typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (err != nil || typ != "text/plain") && len(body) > 0 {
		return "", mxerr.New(mxerr.InvalidParam, "The Content-Type must be text/plain")
	}
	return string(body), nil
}

type createTextRes struct {
	URL string `json:"url"`
}

func (a *Rendezvous) createText(w http.ResponseWriter, r *http.Request) error {
	data, err := payload(r)
	if err != nil {
		return err
	}
	base, err := a.Base(r)
	if err != nil {
		return err
	}
	s, err := a.Engine.Create(data)
	if err != nil {
		return err
	}
	describe(w, s)
	at := base + r.URL.Path + "/" + s.ID
	w.Header().Set("Location", at)
	httpx.Answer(w, r, http.StatusCreated, createTextRes{at})
	return nil
}

func (a *Rendezvous) receiveText(w http.ResponseWriter, r *http.Request) error {
	if err := notByHand(r); err != nil {
		return err
	}
	s, err := a.Engine.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	describe(w, s)
	if known := r.Header.Get("If-None-Match"); known != "" && tagged(known, s.Token) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	_, _ = io.WriteString(w, s.Data) // the client may have gone away, which is its right
	return nil
}

// tagged reports whether a header names the version token. Proxies that pack
// answers make tags weak.
func tagged(header, token string) bool {
	return strings.TrimPrefix(strings.TrimSpace(header), "W/") == `"`+token+`"`
}

func (a *Rendezvous) sendText(w http.ResponseWriter, r *http.Request) error {
	data, err := payload(r)
	if err != nil {
		return err
	}
	seen := r.Header.Get("If-Match")
	if seen == "" {
		return missing("If-Match")
	}
	token := strings.Trim(strings.TrimPrefix(strings.TrimSpace(seen), "W/"), `"`)
	s, err := a.Engine.Put(r.PathValue("id"), token, data)
	if err != nil && !errors.Is(err, rendezvous.ErrConflict) {
		return err
	}
	describe(w, s)
	if err != nil {
		late := mxerr.New(mxerr.Unknown, "Somebody else has written meanwhile").WithStatus(http.StatusPreconditionFailed)
		late.Fields = map[string]any{"org.matrix.msc4108.errcode": "M_CONCURRENT_WRITE"}
		return late
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *Rendezvous) cancelText(w http.ResponseWriter, r *http.Request) error {
	if err := a.Engine.Delete(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
