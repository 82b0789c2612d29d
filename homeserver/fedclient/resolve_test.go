package fedclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearth/matrix/mxid"
)

// records are SRV records by their names.
type records map[string][]*net.SRV

func (r records) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	full := "_" + service + "._" + proto + "." + name
	if list, ok := r[full]; ok {
		return full, list, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: full, IsNotFound: true}
}

// web is hosts that answer in a certain way.
type web map[string]func(r *http.Request) *http.Response

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	if f := w[r.URL.String()]; f != nil {
		res := f(r)
		res.Request = r
		return res, nil
	}
	return nil, errors.New("no route to host")
}

func says(status int, body string, header ...string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
	}
}

func known(host string) string { return "https://" + host + "/.well-known/matrix/server" }

// TestServersAreFound follows server-server-api/#resolving-server-names.
func TestServersAreFound(t *testing.T) {
	srv := func(target string, port uint16) []*net.SRV { return []*net.SRV{{Target: target, Port: port}} }
	many := make([]*net.SRV, 100)
	for i := range many {
		many[i] = &net.SRV{Target: fmt.Sprintf("%d.many.test.", i), Port: 1}
	}
	to := func(server string) func(*http.Request) *http.Response { return says(200, `{"m.server": "`+server+`"}`) }
	c := New(Config{
		SRV: records{
			"_matrix-fed._tcp.new.test":        srv("target.test.", 1234),
			"_matrix._tcp.new.test":            srv("wrong.test.", 1),
			"_matrix._tcp.old.test":            srv("target.test.", 1234),
			"_matrix-fed._tcp.no.test":         srv(".", 0),
			"_matrix-fed._tcp.two.test":        {{Target: "a.test.", Port: 1}, {Target: "b.test.", Port: 2}},
			"_matrix-fed._tcp.many.test":       many,
			"_matrix-fed._tcp.port.test":       srv("wrong.test.", 1),
			"_matrix-fed._tcp.delegate-5.test": srv("wrong.test.", 1), // the delegated name counts
		},
		Web: web{
			known("delegate-1.test"):   to("1.2.3.4"),
			known("delegate-2.test"):   to("1.2.3.4:5678"),
			known("delegate-3.test"):   to("[2001:db8::1]"),
			known("delegate-4.test"):   to("there.test:5678"),
			known("delegate-5.test"):   to("new.test"),
			known("delegate-6.test"):   to("old.test"),
			known("delegate-7.test"):   to("there.test"),
			known("moved.test"):        says(302, "", "Location", "https://elsewhere.test/x"),
			"https://elsewhere.test/x": to("there.test:5678"),
			known("plain.test"):        says(302, "", "Location", "http://elsewhere.test/x"),
			known("loop.test"):         says(302, "", "Location", known("loop.test")),
			known("missing.test"):      says(404, `{"m.server": "there.test:5678"}`),
			known("broken.test"):       says(200, `{"m.server":`),
			known("number.test"):       says(200, `{"m.server":7}`),
			known("empty.test"):        says(200, `{}`),
			known("nonsense.test"):     to("a/b"),
			known("badport.test"):      to("there.test:99999"),
			known("long.test"):         says(200, `{"m.server":"there.test:5678","x":"`+strings.Repeat("x", wellKnownSize)+`"}`),
			known("new.test"):          to("there.test:1"), // not asked for a delegated name
			known("port.test"):         to("there.test:1"), // not asked for a name with a port
		},
	})
	defer c.Close()
	for server, want := range map[string]string{
		"1.2.3.4":           "1.2.3.4 1.2.3.4 1.2.3.4:8448",
		"1.2.3.4:80":        "1.2.3.4:80 1.2.3.4 1.2.3.4:80",
		"[2001:db8::1]":     "[2001:db8::1] 2001:db8::1 [2001:db8::1]:8448",
		"[2001:db8::1]:443": "[2001:db8::1]:443 2001:db8::1 [2001:db8::1]:443",
		"port.test:80":      "port.test:80 port.test port.test:80",
		"delegate-1.test":   "1.2.3.4 1.2.3.4 1.2.3.4:8448",
		"delegate-2.test":   "1.2.3.4:5678 1.2.3.4 1.2.3.4:5678",
		"delegate-3.test":   "[2001:db8::1] 2001:db8::1 [2001:db8::1]:8448",
		"delegate-4.test":   "there.test:5678 there.test there.test:5678",
		"delegate-5.test":   "new.test new.test target.test:1234",
		"delegate-6.test":   "old.test old.test target.test:1234",
		"delegate-7.test":   "there.test there.test there.test:8448",
		"old.test":          "old.test old.test target.test:1234",
		"no.test":           "no.test no.test no.test:8448",
		"two.test":          "two.test two.test a.test:1 b.test:2",
		"many.test":         "many.test many.test 0.many.test:1 1.many.test:1 2.many.test:1 3.many.test:1 4.many.test:1 5.many.test:1 6.many.test:1 7.many.test:1",
		"moved.test":        "there.test:5678 there.test there.test:5678",
		"plain.test":        "plain.test plain.test plain.test:8448",
		"loop.test":         "loop.test loop.test loop.test:8448",
		"missing.test":      "missing.test missing.test missing.test:8448",
		"broken.test":       "broken.test broken.test broken.test:8448",
		"number.test":       "number.test number.test number.test:8448",
		"empty.test":        "empty.test empty.test empty.test:8448",
		"nonsense.test":     "nonsense.test nonsense.test nonsense.test:8448",
		"badport.test":      "badport.test badport.test badport.test:8448",
		"long.test":         "long.test long.test long.test:8448",
		"silent.test":       "silent.test silent.test silent.test:8448",
	} {
		got, err := c.resolve(t.Context(), mxid.ServerName(server))
		if text := got.Host + " " + got.Name + " " + strings.Join(got.Dial, " "); err != nil || text != want {
			t.Errorf("%s: %s, %v; want %s", server, text, err, want)
		}
	}
	for _, bad := range []mxid.ServerName{"a.test:0", "a.test:70000", "1.2.3.4:99999"} {
		if got, err := c.resolve(t.Context(), bad); err == nil {
			t.Errorf("%s is at %v", bad, got)
		}
	}
}

// TestHostsAreNotAskedAgain: what a host says of its server holds as long as it
// says, within bounds, and failures for longer each time.
func TestHostsAreNotAskedAgain(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		answer func(*http.Request) *http.Response
		asked  []time.Duration // after the first time
	}{
		"says nothing":   {says(200, `{"m.server":"a.test:1"}`), []time.Duration{day, 2 * day}},
		"an hour":        {says(200, `{"m.server":"a.test:1"}`, "Cache-Control", "public, Max-Age=3600"), []time.Duration{time.Hour, 2 * time.Hour}},
		"a year":         {says(200, `{"m.server":"a.test:1"}`, "Cache-Control", "max-age=31536000"), []time.Duration{2 * day}},
		"never":          {says(200, `{"m.server":"a.test:1"}`, "Cache-Control", "no-store"), []time.Duration{5 * time.Minute}},
		"until a day":    {says(200, `{"m.server":"a.test:1"}`, "Expires", "Sat, 01 Jan 2000 03:00:00 GMT"), []time.Duration{3 * time.Hour}},
		"until long ago": {says(200, `{"m.server":"a.test:1"}`, "Expires", "Sat, 01 Jan 1999 00:00:00 GMT"), []time.Duration{5 * time.Minute}},
		"nobody there":   {says(404, ``), []time.Duration{time.Minute, 3 * time.Minute, 7 * time.Minute, 15 * time.Minute, 31 * time.Minute, 63 * time.Minute, 123 * time.Minute, 183 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it is midnight of 2000-01-01 there
				start, asked := time.Now(), []time.Duration{}
				c := New(Config{SRV: records{}, Web: web{known("host.test"): func(r *http.Request) *http.Response {
					asked = append(asked, time.Since(start))
					return tc.answer(r)
				}}})
				defer c.Close()
				for range 49 * 60 {
					if _, err := c.resolve(t.Context(), "host.test"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				if n := len(tc.asked) + 1; len(asked) < n || asked[0] != 0 || !slices.Equal(asked[1:n], tc.asked) {
					t.Errorf("asked at %v, want %v", asked[:min(len(asked), n)], tc.asked)
				}
			})
		})
	}
}

// TestManyHostsAreForgotten: names of servers that strangers make up fill no
// memory.
func TestManyHostsAreForgotten(t *testing.T) {
	c := New(Config{SRV: records{}, Web: web{}})
	defer c.Close()
	for i := range maxWellKnown + 100 {
		c.known.delegate(t.Context(), fmt.Sprintf("%d.test", i))
	}
	if n := len(c.known.hosts); n != maxWellKnown {
		t.Errorf("%d hosts are remembered", n)
	}
}
