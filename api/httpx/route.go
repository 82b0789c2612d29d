// Package httpx turns typed functions into HTTP endpoints. It is what all
// doors share: routes as data, authentication, rate limits, CORS, limits on
// bodies, one way to answer errors. It knows no endpoint.
package httpx

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"hearth/base/limit"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Auth says who may call an endpoint.
type Auth int

// The kinds of callers, from open to closed.
const (
	Anyone   Auth = iota
	Optional      // access token welcome, not needed
	Guest         // access token, guests welcome
	User          // access token, guests refused
	Admin         // access token of a server administrator
	Peer          // signature of another server
)

// Path prefixes under which routes are served. Clients of all ages are
// welcome: r0 is what guides and old bots still call.
var (
	// ClientV3 is where most of the client-server API lives.
	ClientV3 = []string{"/_matrix/client/v3", "/_matrix/client/r0"}
	// ClientV1 is for operations that came after r0 and v3.
	ClientV1 = []string{"/_matrix/client/v1"}
	// ClientAll is for operations whose version clients get wrong.
	ClientAll = []string{"/_matrix/client/v3", "/_matrix/client/r0", "/_matrix/client/v1", "/_matrix/client/unstable"}
	// Root is for routes that write their whole path.
	Root = []string{""}
)

// Route is one line of a door's table.
type Route struct {
	Pattern string   // net/http pattern below each prefix: "PUT /rooms/{roomId}/typing/{userId}"
	In      []string // prefixes; nil means ClientV3
	Also    []string // further whole patterns, for unstable names
	Auth    Auth
	Limit   string // name of the rate limit bucket, "" for none
	MaxBody int64  // bytes; 0 means DefaultMaxBody
	Handler http.Handler
	Spec    string // operationId in the specification, "" if it has none
}

// DefaultMaxBody bounds request bodies. An event is at most 64 KiB; the rest
// is room for escapes and lists.
const DefaultMaxBody = 1 << 20

// Caller is who an access token belongs to.
type Caller struct {
	User    string // "@alice:example.org"
	Device  string
	Guest   bool
	Admin   bool
	Token   string // as sent, for logout
	TokenID int64
	// Service is the id of the application service that acts for User, "" for
	// people.
	Service   string
	Unlimited bool // its requests are not counted
	// Rate is what the operator allows the user of every limit, nil for what
	// everybody may.
	Rate *limit.Rate

	Locked       bool // may only log out
	Suspended    bool // may not speak
	ShadowBanned bool // speaks to nobody
	// Consent is the address of the page on which the user must agree to the terms
	// before they may speak; "" if they need not.
	Consent string
}

// Identity is whom an application service says that it acts for
// (application-service-api/#identity-assertion). Tokens of people ignore it.
type Identity struct {
	User, Device string // "" if it does not say
}

// identity reads what stands in the query.
func identity(r *http.Request) Identity {
	if r.URL.RawQuery == "" {
		return Identity{}
	}
	q := Query(r)
	return Identity{User: q.Get("user_id"), Device: cmp.Or(q.Get("device_id"), q.Get("org.matrix.msc3202.device_id"))}
}

// Authenticator finds the owner of an access token. A bad token is an
// *mxerr.Error with M_UNKNOWN_TOKEN.
type Authenticator interface {
	Authenticate(ctx context.Context, token string, as Identity) (*Caller, error)
}

// Peers finds out which server made a request. headers are those by which it says
// so, content is nil without a body. A bad signature is an *mxerr.Error with
// M_UNAUTHORIZED.
type Peers interface {
	Authenticate(ctx context.Context, method, uri string, headers []string, content []byte) (mxid.ServerName, error)
}

// Limiter takes one request from the bucket of key. A refused request may be
// repeated after retry.
type Limiter interface {
	Allow(bucket, key string) (retry time.Duration, ok bool)
	AllowAt(bucket, key string, rate limit.Rate) (retry time.Duration, ok bool)
}

// Config is what a Router needs from the rest of the server.
type Config struct {
	Auth   Authenticator
	Peers  Peers // nil for a server that speaks with no others
	Limits Limiter
	// Standing refuses a route to a caller whose account is restricted. Nil lets
	// everybody pass.
	Standing func(route Route, who *Caller) error
	// Service returns the id of the application service that has a token, "" for
	// none, and whether its requests are counted where nobody needs a token. May be
	// nil.
	Service func(token string) (id string, limited bool)
	Proxies []netip.Prefix // whose X-Forwarded-For is believed
	Parking *Parking       // nil for none
	Log     *slog.Logger
}

// Router serves the routes of all doors.
type Router struct {
	cfg    Config
	mux    *http.ServeMux
	routes []Route
}

// NewRouter returns a Router without routes.
func NewRouter(cfg Config) *Router {
	return &Router{cfg: cfg, mux: http.NewServeMux()}
}

// Add registers routes. Two routes with the same pattern are a programming
// error and panic, as in net/http.
func (rt *Router) Add(routes ...Route) {
	for _, r := range routes {
		h := rt.guard(r)
		for _, p := range r.Patterns() {
			rt.mux.Handle(p, h)
		}
		rt.routes = append(rt.routes, r)
	}
}

// Routes lists what was added, for tests that run over every route.
func (rt *Router) Routes() []Route { return rt.routes }

// Patterns lists the net/http patterns under which r is served.
func (r Route) Patterns() []string {
	method, p, _ := strings.Cut(r.Pattern, " ")
	in := r.In
	if in == nil {
		in = ClientV3
	}
	out := make([]string, 0, len(in)+len(r.Also))
	for _, prefix := range in {
		out = append(out, method+" "+prefix+p)
	}
	return append(out, r.Also...)
}

func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer rt.recover(w, r)
	if api(r.URL.Path) {
		cors(w.Header())
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
	}
	if _, pattern := rt.mux.Handler(r); pattern == "" || unclean(r) {
		rt.noRoute(w, r)
		return
	}
	rt.mux.ServeHTTP(w, r)
}

// api tells the paths that scripts of any origin may call.
func api(p string) bool {
	return strings.HasPrefix(p, "/_matrix/") || strings.HasPrefix(p, "/_synapse/") || strings.HasPrefix(p, "/.well-known/")
}

// cors: client-server-api/#web-browser-clients
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
	// The last two are what QR codes need (MSC4108).
	h.Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match")
	h.Set("Access-Control-Max-Age", "86400")
}

// unclean tells paths that ServeMux would answer with a redirect, which no
// Matrix client follows for a PUT.
func unclean(r *http.Request) bool {
	p := r.URL.EscapedPath()
	c := path.Clean(p)
	return p != c && p != c+"/"
}

// noRoute answers what no route matches: 405 if another method would have,
// else 404, both M_UNRECOGNIZED (client-server-api/#common-error-codes).
func (rt *Router) noRoute(w http.ResponseWriter, r *http.Request) {
	e := mxerr.New(mxerr.Unrecognized, "There is no such endpoint")
	for _, m := range []string{"GET", "POST", "PUT", "DELETE"} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := rt.mux.Handler(other); pattern != "" && m != r.Method && !unclean(r) {
			e = mxerr.New(mxerr.Unrecognized, "This endpoint does not know the method %s", r.Method)
			e.Status = http.StatusMethodNotAllowed
			break
		}
	}
	rt.Fail(w, r, e)
}

func (rt *Router) recover(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	rt.cfg.Log.ErrorContext(r.Context(), "panic in a handler", "route", r.Pattern, "panic", p, "stack", string(debug.Stack()))
	rt.Fail(w, r, mxerr.New(mxerr.Unknown, "Internal server error"))
}

// guard does what happens before a route's handler: limit the body, find the
// caller, take from the rate limit.
func (rt *Router) guard(route Route) http.Handler {
	maxBody := route.MaxBody
	if maxBody == 0 {
		maxBody = DefaultMaxBody
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unhurried(w)
		r.Body = Bounded(w, r, maxBody)
		call := &call{router: rt, addr: rt.clientAddr(r), agent: r.UserAgent()}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, call))
		if err := rt.admit(r, route, call); err != nil {
			if !waits(r) {
				// Unread bodies would make the connection useless for the next request.
				_, _ = io.CopyN(io.Discard, hurry(w, r, DefaultMaxBody), DefaultMaxBody)
			}
			rt.Fail(w, r, err)
			return
		}
		if waits(r) && r.ContentLength > maxBody {
			rt.Fail(w, r, mxerr.New(mxerr.TooLarge, "The body is too large"))
			return
		}
		route.Handler.ServeHTTP(w, r)
	})
}

func (rt *Router) admit(r *http.Request, route Route, call *call) error {
	if route.Auth == Peer {
		return rt.admitPeer(r, route, call)
	}
	if route.Auth != Anyone {
		token := AccessToken(r)
		if token == "" && route.Auth != Optional {
			return mxerr.New(mxerr.MissingToken, "This endpoint needs an access token")
		}
		if token != "" {
			who, err := rt.cfg.Auth.Authenticate(r.Context(), token, identity(r))
			if err != nil {
				return err
			}
			call.who = who
		}
	}
	if who := call.who; who != nil {
		if rt.cfg.Standing != nil {
			if err := rt.cfg.Standing(route, who); err != nil {
				return err
			}
		}
		if who.Guest && route.Auth == User {
			return mxerr.New(mxerr.GuestAccessForbidden, "Guests may not do this")
		}
		if !who.Admin && route.Auth == Admin {
			return mxerr.New(mxerr.Forbidden, "You are not a server admin")
		}
	}
	limited := true
	if call.who != nil {
		call.service = call.who.Service
	} else if token := AccessToken(r); token != "" && rt.cfg.Service != nil {
		call.service, limited = rt.cfg.Service(token)
	}
	if route.Limit == "" || rt.cfg.Limits == nil || !limited {
		return nil
	}
	key := call.addr
	if call.who != nil {
		if call.who.Unlimited {
			return nil
		}
		key = call.who.User
		if rate := call.who.Rate; rate != nil {
			return refusal(rt.cfg.Limits.AllowAt(route.Limit, key, *rate))
		}
	}
	return refusal(rt.cfg.Limits.Allow(route.Limit, key))
}

// waits tells a client that sends its body when it is asked to. It is, by whoever
// reads the body.
func waits(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Expect"), "100-continue") }

// admitPeer counts requests before it believes them: to find out who makes them
// is most of the work.
func (rt *Router) admitPeer(r *http.Request, route Route, call *call) error {
	if route.Limit != "" && rt.cfg.Limits != nil {
		if err := refusal(rt.cfg.Limits.Allow(route.Limit, call.addr)); err != nil {
			return err
		}
	}
	var signed []byte
	if r.Method != http.MethodGet {
		var err error
		if signed, err = content(r); err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(signed))
	}
	var err error
	call.peer, err = rt.cfg.Peers.Authenticate(r.Context(), r.Method, r.RequestURI, r.Header.Values("Authorization"), signed)
	return err
}

// Take takes a request from one more rate limit, for what only some requests of a
// route do.
func Take(ctx context.Context, bucket string) error {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok || c.router.cfg.Limits == nil {
		return nil
	}
	limits, key := c.router.cfg.Limits, c.addr
	if c.who != nil {
		if c.who.Unlimited {
			return nil
		}
		key = c.who.User
		if c.who.Rate != nil {
			return refusal(limits.AllowAt(bucket, key, *c.who.Rate))
		}
	}
	return refusal(limits.Allow(bucket, key))
}

// refusal is M_LIMIT_EXCEEDED with retry_after_ms and the matching Retry-After,
// unless a request is allowed.
func refusal(retry time.Duration, ok bool) error {
	if ok {
		return nil
	}
	e := mxerr.New(mxerr.LimitExceeded, "Too many requests")
	e.Fields = map[string]any{"retry_after_ms": max(retry.Milliseconds(), 1)}
	return e
}

// AccessToken returns the token that a request shows, "" for none:
// client-server-api/#using-access-tokens. The query parameter is
// deprecated, and old bots still use it.
func AccessToken(r *http.Request) string {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, token, _ := strings.Cut(h, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
		return ""
	}
	if !strings.Contains(r.URL.RawQuery, "access_token=") {
		return ""
	}
	return Query(r).Get("access_token")
}

// clientAddr is the address that limits and device lists show. Proxies that
// the operator trusts may say whom they speak for.
func (rt *Router) clientAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	hops := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	for i := len(hops) - 1; i >= 0 && rt.trusted(host); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		host = hop.Unmap().String()
	}
	return host
}

func (rt *Router) trusted(host string) bool {
	if len(rt.cfg.Proxies) == 0 {
		return false
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range rt.cfg.Proxies {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// call is what a request carries through its context.
type call struct {
	router *Router
	who    *Caller
	peer   mxid.ServerName
	addr   string
	agent  string
	query  url.Values // nil until somebody asks

	service string
}

type callKey struct{}

// Who is the caller of a route whose Auth asks for a token. It is nil on a
// route with Optional that was called without.
func Who(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.who
	}
	return nil
}

// Origin is the server that makes a request to a route whose Auth is Peer.
func Origin(ctx context.Context) mxid.ServerName {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.peer
	}
	return ""
}

// Service is the id of the application service that makes the request, also on a
// route that needs no token; "" for people.
func Service(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.service
	}
	return ""
}

// Addr is the IP address that the request came from.
func Addr(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.addr
	}
	return ""
}

// Agent is what the program that made the request calls itself. It may be long,
// and need not be UTF-8.
func Agent(ctx context.Context) string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.agent
	}
	return ""
}
