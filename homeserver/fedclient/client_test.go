package fedclient

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearth/base/netguard"
	"hearth/homeserver/fedclient/fedtest"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/signing"
)

var here = netip.MustParseAddr("127.0.0.1")

// newClient is a server "here.test" that believes an authority and reaches this
// machine.
func newClient(t *testing.T, ca *fedtest.Authority, change func(*Config)) *Client {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Server: "here.test", KeyID: "ed25519:k", Key: key, Allowed: netguard.Ranges{{From: here, To: here}}, Roots: ca.Roots,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

func port(t *testing.T, s *fedtest.Server) uint16 {
	t.Helper()
	_, text, err := net.SplitHostPort(s.Addr)
	n, err2 := strconv.ParseUint(text, 10, 16)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return uint16(n)
}

// TestRequestsReachServers: they come with the right Host header, to those only
// who show the right certificate, and are signed.
func TestRequestsReachServers(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	hosts := make(chan string, 10)
	var c *Client
	s := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		body, _ := io.ReadAll(r.Body)
		if len(body) == 0 {
			body = nil
		}
		a, err := signing.ParseAuthorization(r.Header.Get("Authorization"))
		signed := signing.Request{Method: r.Method, URI: r.RequestURI, Origin: "here.test", Destination: a.Destination, Content: body}
		if err == nil {
			err = signed.Verify(a, c.cfg.Key.Public().(ed25519.PublicKey))
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprint(w, a.Destination)
	}), "there.test", "delegated.test")
	at := []*net.SRV{{Target: "127.0.0.1", Port: 1}, {Target: "127.0.0.1", Port: port(t, s)}} // nobody is at the first
	c = newClient(t, ca, func(cfg *Config) {
		cfg.SRV = records{"_matrix-fed._tcp.there.test": at, "_matrix-fed._tcp.delegated.test": at, "_matrix-fed._tcp.imposter.test": at}
		cfg.Web = web{known("named.test"): says(200, `{"m.server":"delegated.test"}`)}
	})
	for server, host := range map[mxid.ServerName]string{"there.test": "there.test", "named.test": "delegated.test", mxid.ServerName(s.Addr): s.Addr} {
		for _, body := range [][]byte{nil, []byte(`{"b": 1, "a": [true]}`)} {
			r := Request{To: server, Path: "/_matrix/federation/v1/x%2Fy?z=%21", Body: body}
			if body != nil {
				r.Method = http.MethodPut
			}
			res, err := c.Do(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if h := <-hosts; h != host || string(got) != string(server) {
				t.Errorf("%s: asked as %s for %s", server, h, got)
			}
		}
	}
	if _, err := c.Do(t.Context(), Request{To: "imposter.test", Path: "/"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("somebody else's certificate: %v", err)
	}
	if _, err := c.Do(t.Context(), Request{To: "here.test", Path: "/"}); err == nil {
		t.Error("it asks itself")
	}
}

// TestPrivateAddressesAreNotAsked, wherever names lead.
func TestPrivateAddressesAreNotAsked(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	var asked atomic.Int32
	s := ca.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }), "there.test", "localhost")
	c := newClient(t, ca, func(cfg *Config) {
		cfg.Allowed = nil
		cfg.SRV = records{"_matrix-fed._tcp.there.test": {{Target: "127.0.0.1", Port: port(t, s)}}, "_matrix._tcp.named.test": {{Target: "localhost", Port: port(t, s)}}}
		cfg.Web = web{known("delegate.test"): says(200, `{"m.server":"`+s.Addr+`"}`)}
	})
	for _, server := range []mxid.ServerName{mxid.ServerName(s.Addr), "there.test", "named.test", "delegate.test", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]:" + mxid.ServerName(strconv.Itoa(int(port(t, s))))} {
		_, err := c.Do(t.Context(), Request{To: server, Path: "/"})
		if _, refused := errors.AsType[*netguard.RefusedError](err); !refused {
			t.Errorf("%s: %v", server, err)
		}
	}
	if asked.Load() > 0 {
		t.Error("a private address was asked")
	}
}

// TestSilentServersAreLeftAlone: who does not answer is asked less and less often,
// and at once when it is heard of.
func TestSilentServersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Server: "here.test", SRV: records{}, Web: web{}})
		defer c.Close()
		var asked []time.Duration
		start := time.Now()
		alive := false
		try := func() error {
			d, leave, err := c.enter(t.Context(), Request{To: "there.test"})
			if err != nil {
				return err
			}
			defer leave()
			asked = append(asked, time.Since(start).Truncate(time.Second))
			if !alive {
				err = errors.New("no answer")
			}
			c.learn(t.Context(), "there.test", d, time.Now(), err)
			return err
		}
		for time.Since(start) < 24*time.Hour {
			_ = try()
			time.Sleep(100 * time.Millisecond)
		}
		if len(asked) < 30 || len(asked) > 40 {
			t.Errorf("asked %d times in a day: %v", len(asked), asked)
		}
		if last := asked[len(asked)-1] - asked[len(asked)-2]; last < time.Hour || last > time.Hour+time.Second {
			t.Errorf("in the end it is asked every %v", last)
		}
		alive = true
		if _, away := errors.AsType[*AwayError](try()); !away {
			t.Error("it is asked before its time")
		}
		c.Heard("there.test")
		if err := try(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatCountsAsSilence: a server that refuses is there.
func TestWhatCountsAsSilence(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	answer := make(chan func(w http.ResponseWriter), 1)
	s := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { (<-answer)(w) }))
	server := mxid.ServerName(s.Addr)
	with := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter)
		away   bool
	}{
		"fine":               {with(200, "{}"), false},
		"missing":            {with(404, `{"errcode":"M_NOT_FOUND","error":"no"}`), false},
		"not yet":            {with(504, `{"errcode":"M_NOT_YET_UPLOADED"}`), false},
		"no page":            {with(404, `<html>`), false},
		"its proxy is alone": {with(502, `<html>`), true},
		"too often":          {with(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":100000}`), true},
		"a redirect":         {with(302, ``), false},
		"a long header": {func(w http.ResponseWriter) {
			w.Header().Set("X", strings.Repeat("x", 200<<10))
		}, true},
		"no HTTP": {func(w http.ResponseWriter) {
			panic(http.ErrAbortHandler)
		}, true},
	} {
		c := newClient(t, ca, nil)
		answer <- tc.answer
		res, err := c.Do(t.Context(), Request{To: server, Path: "/"})
		if (err == nil) != (name == "fine") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			res.Body.Close()
		}
		if away := time.Now().Before(c.table[server].away); away != tc.away {
			t.Errorf("%s: %v, left alone %v", name, err, away)
		}
		if n := c.table[server].busy; n != 0 {
			t.Errorf("%s: %d requests are under way", name, n)
		}
		c.Close()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	c := newClient(t, ca, nil)
	if _, err := c.Do(gone, Request{To: server, Path: "/"}); err == nil || time.Now().Before(c.table[server].away) {
		t.Errorf("who asked has gone: %v", err)
	}
}

// TestServersAreNotFlooded: so many requests at a time and no more, large ones do
// not keep small ones waiting, and too many are refused.
func TestServersAreNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{Server: "here.test", SRV: records{}, Web: web{}})
		defer c.Close()
		var under, most, refused atomic.Int32
		var wg sync.WaitGroup
		for range maxWaiting + 10 {
			wg.Go(func() {
				_, leave, err := c.enter(t.Context(), Request{To: "there.test", Bulk: true})
				if _, busy := errors.AsType[*BusyError](err); busy {
					refused.Add(1)
					return
				}
				if n := under.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				under.Add(-1)
				leave()
			})
		}
		synctest.Wait()
		if refused.Load() != 10 {
			t.Errorf("%d are refused", refused.Load())
		}
		wg.Wait()
		if most.Load() != maxBulk {
			t.Errorf("%d at a time", most.Load())
		}
		for range maxBulk {
			if _, _, err := c.enter(t.Context(), Request{To: "there.test", Bulk: true}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.enter(t.Context(), Request{To: "there.test"}); err != nil || c.table["there.test"].busy != maxBulk+1 {
			t.Errorf("a small one beside large ones: %v", err)
		}
	})
}

// TestManyServersAreForgotten, but for those that are asked now.
func TestManyServersAreForgotten(t *testing.T) {
	c := New(Config{Server: "here.test", SRV: records{}, Web: web{}})
	defer c.Close()
	if _, _, err := c.enter(t.Context(), Request{To: "busy.test"}); err != nil {
		t.Fatal(err)
	}
	for i := range maxDestinations + 100 {
		_, leave, err := c.enter(t.Context(), Request{To: mxid.ServerName(fmt.Sprintf("%d.test", i))})
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	if len(c.table) != maxDestinations || c.table["busy.test"] == nil {
		t.Errorf("%d servers are remembered, the busy one: %v", len(c.table), c.table["busy.test"])
	}
}

// peer is another server that signs.
type peer struct {
	name  mxid.ServerName
	key   ed25519.PrivateKey
	asked atomic.Int32
	list  func() map[string]any // what it says of its keys
}

// newPeer starts a server that shows its keys.
func newPeer(t *testing.T, ca *fedtest.Authority) *peer {
	t.Helper()
	p := &peer{}
	s := ca.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		list, err := canonjson.Marshal(p.list())
		if err == nil {
			list, err = signing.Sign(list, string(p.name), "ed25519:p", p.key)
		}
		if err != nil || r.Header.Get("Authorization") != "" {
			t.Error(err, "or the request says who asks")
		}
		_, _ = w.Write(list)
	}))
	p.name = mxid.ServerName(s.Addr)
	_, p.key, _ = ed25519.GenerateKey(nil)
	p.list = func() map[string]any { return p.keys(p.key, time.Now().Add(time.Hour)) }
	return p
}

func (p *peer) keys(key ed25519.PrivateKey, until time.Time) map[string]any {
	return map[string]any{
		"server_name": p.name, "valid_until_ts": until.UnixMilli(), "old_verify_keys": map[string]any{},
		"verify_keys": map[string]any{"ed25519:p": map[string]string{"key": signing.EncodeBase64(key.Public().(ed25519.PublicKey))}, "rsa:x": map[string]string{"key": "x"}},
	}
}

func (p *peer) sign(t *testing.T, to, uri string) string {
	t.Helper()
	header, err := signing.Request{Method: "GET", URI: uri, Origin: string(p.name), Destination: to}.Sign("ed25519:p", p.key)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func TestOtherServersAreKnownByTheirSignature(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	p, c := newPeer(t, ca), newClient(t, ca, nil)
	good := p.sign(t, "here.test", "/x")
	for range 10 {
		if who, err := c.Authenticate(t.Context(), "GET", "/x", []string{"Bearer x", good}, nil); err != nil || who != p.name {
			t.Fatalf("%s, %v", who, err)
		}
	}
	for name, headers := range map[string][]string{
		"none": nil, "for another path": {p.sign(t, "here.test", "/y")}, "for another server": {p.sign(t, "there.test", "/x")},
		"from nobody":          {strings.Replace(good, string(p.name), "127.0.0.1:1", 1)},
		"from this server":     {strings.Replace(good, string(p.name), "here.test", 1)},
		"from no server":       {strings.Replace(good, string(p.name), "a b", 1)},
		"with an unknown key":  {strings.Replace(good, "ed25519:p", "ed25519:q", 1)},
		"behind too many":      {"a", "b", "c", "d", good},
		"whose server is lost": {strings.Replace(good, `here.test"`, `here.test",destination="there.test"`, 1)},
	} {
		who, err := c.Authenticate(t.Context(), "GET", "/x", headers, nil)
		if e := mxerr.From(err); err == nil || e.Code != mxerr.Unauthorized || e.HTTPStatus() != 401 {
			t.Errorf("a signature %s: %s, %v", name, who, err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("its keys were asked for %d times", n)
	}
}

// TestKeysHoldForATime: a list of keys is asked for again when it is over, at most
// so often, and one that is not right is not believed.
func TestKeysHoldForATime(t *testing.T) {
	ca := fedtest.NewAuthority(t)
	p, c := newPeer(t, ca), newClient(t, ca, nil)
	ok := func() bool {
		_, err := c.Authenticate(t.Context(), "GET", "/x", []string{p.sign(t, "here.test", "/x")}, nil)
		return err == nil
	}
	// later makes what is known of the server older.
	later := func(d time.Duration) {
		r := c.keys.rings[p.name]
		r.asked, r.until = r.asked.Add(-d), r.until.Add(-d)
		c.keys.rings[p.name] = r
	}
	p.list = func() map[string]any { return p.keys(p.key, time.Now().Add(365*24*time.Hour)) }
	if !ok() {
		t.Fatal("the first time")
	}
	if until := c.keys.rings[p.name].until; until.After(time.Now().Add(keyLife)) {
		t.Errorf("keys hold until %v", until)
	}
	old := p.key
	_, p.key, _ = ed25519.GenerateKey(nil)
	p.list = func() map[string]any {
		_, unknown, _ := ed25519.GenerateKey(nil)
		list := p.keys(p.key, time.Now().Add(time.Hour))
		list["verify_keys"].(map[string]any)["ed25519:q"] = map[string]string{"key": signing.EncodeBase64(unknown.Public().(ed25519.PublicKey))}
		return list
	}
	if ok() {
		t.Error("a new key under an old name is believed")
	}
	later(keyLife)
	if !ok() {
		t.Error("the new key is not believed after the old one is over")
	}
	p.key = old
	if ok() {
		t.Error("the old key is believed")
	}
	for name, list := range map[string]func() map[string]any{
		"of another server": func() map[string]any { l := p.keys(p.key, time.Now().Add(time.Hour)); l["server_name"] = "a"; return l },
		"not signed by it": func() map[string]any {
			_, other, _ := ed25519.GenerateKey(nil)
			return p.keys(other, time.Now().Add(time.Hour))
		},
		"over": func() map[string]any { return p.keys(p.key, time.Now().Add(-time.Second)) },
		"too long": func() map[string]any {
			l := p.keys(p.key, time.Now().Add(time.Hour))
			l["x"] = strings.Repeat("x", maxKeyAnswer)
			return l
		},
		"empty": func() map[string]any { return map[string]any{} },
	} {
		later(keyLife)
		n := p.asked.Load()
		p.list = list
		for range 2 {
			if ok() {
				t.Errorf("a list %s is believed", name)
			}
		}
		if got := p.asked.Load() - n; got != 1 {
			t.Errorf("a list %s is asked for %d times", name, got)
		}
	}
}

func TestManyRingsAreForgotten(t *testing.T) {
	c := New(Config{Server: "here.test", SRV: records{}, Web: web{}})
	defer c.Close()
	for i := range maxRings + 50 {
		c.keys.rings[mxid.ServerName(fmt.Sprintf("%d.test", i))] = ring{}
		if len(c.keys.rings) > maxRings {
			c.keys.forget()
		}
	}
	if len(c.keys.rings) != maxRings {
		t.Errorf("%d are remembered", len(c.keys.rings))
	}
}

// TestServersWithManyKeys: of a server that shows very many keys some are kept.
func TestServersWithManyKeys(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(nil)
	all := map[string]any{}
	for i := range maxKeys + 1 {
		all[fmt.Sprintf("ed25519:%03d", i)] = map[string]string{"key": signing.EncodeBase64(pub)}
	}
	list, err := canonjson.Marshal(map[string]any{"server_name": "there.test", "verify_keys": all, "valid_until_ts": time.Now().Add(time.Hour).UnixMilli()})
	if err == nil {
		list, err = signing.Sign(list, "there.test", "ed25519:000", key)
	}
	if err != nil {
		t.Fatal(err)
	}
	if keys, _, err := readKeys(list, "there.test", time.Now()); err != nil || len(keys) != maxKeys {
		t.Errorf("%d keys are kept, %v", len(keys), err)
	}
}

// TestOwnKeys: what this server says of its keys others believe.
func TestOwnKeys(t *testing.T) {
	c := newClient(t, fedtest.NewAuthority(t), nil)
	list, err := c.OwnKeys()
	if err != nil || !json.Valid(list) {
		t.Fatal(string(list), err)
	}
	keys, until, err := readKeys(list, "here.test", time.Now())
	if err != nil || !keys["ed25519:k"].Equal(c.cfg.Key.Public()) || until.Before(time.Now().Add(time.Hour)) {
		t.Errorf("%v, until %v, %v", keys, until, err)
	}
}
