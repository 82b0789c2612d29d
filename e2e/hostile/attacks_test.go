package hostile

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"hearth/api/httpx"
)

// attack is one thing that nobody should send. What it leaves empty is as it
// should be: alice asks for her own room with her own token (and the operator
// asks for carol, where only an operator may).
type attack struct {
	name   string
	caller caller
	path   map[string]string // values for the wildcards of the pattern
	query  string
	body   string
	want   []string // error codes, any of them; nil if the request may even succeed
}

// caller is whose token goes with a request.
type caller int

const (
	alice   caller = iota
	mallory        // another user
	operator
	carol
	guest
	nobody   // no token
	nonsense // no such token
)

// deep is nested more deeply than any message.
const deep = 10_000

// attacks are those that make sense for a route.
func attacks(r httpx.Route) (all []attack) {
	all = append(all, callers(r)...)
	all = append(all, paths(r)...)
	for _, query := range queries {
		all = append(all, attack{name: "query " + query, query: query})
	}
	// A file may be anything, and so may what devices say to each other;
	// server/media_test.go and server/rendezvous_test.go try what is too large.
	file := strings.HasPrefix(r.Pattern, "POST /upload") || strings.HasPrefix(r.Pattern, "PUT /upload") ||
		slices.Contains(r.In, "/_matrix/client/unstable/org.matrix.msc4108")
	if method, _, _ := strings.Cut(r.Pattern, " "); method != http.MethodGet && !file {
		all = append(all, bodies...)
		largest := max(r.MaxBody, httpx.DefaultMaxBody)
		all = append(all, attack{name: "too large", body: `{"a":"` + strings.Repeat("x", int(largest)) + `"}`, want: []string{"M_TOO_LARGE"}})
	}
	return all
}

func callers(r httpx.Route) []attack {
	all := []attack{{name: "another user", caller: mallory}}
	if r.Auth != httpx.Anyone {
		all = append(all, attack{name: "a token of nobody", caller: nonsense, want: []string{"M_UNKNOWN_TOKEN"}})
	}
	switch r.Auth {
	case httpx.Guest:
		all = append(all,
			attack{name: "no token", caller: nobody, want: []string{"M_MISSING_TOKEN"}},
			attack{name: "a guest", caller: guest})
	case httpx.User:
		all = append(all,
			attack{name: "no token", caller: nobody, want: []string{"M_MISSING_TOKEN"}},
			attack{name: "a guest", caller: guest, want: []string{"M_GUEST_ACCESS_FORBIDDEN"}})
	case httpx.Admin:
		all = append(all,
			attack{name: "no token", caller: nobody, want: []string{"M_MISSING_TOKEN"}},
			attack{name: "not an admin", caller: mallory, want: []string{"M_FORBIDDEN"}})
	}
	return all
}

// paths replaces one wildcard of the pattern at a time.
func paths(r httpx.Route) (all []attack) {
	names := map[string][]string{
		"roomId":        {"!unknown:example.test", "!foreign:elsewhere.test", "no room", "!" + strings.Repeat("x", 300), "!\x00:example.test", "!\xff:example.test"},
		"roomIdOrAlias": {"!unknown:example.test", "#unknown:example.test", "#foreign:elsewhere.test", "neither", ""},
		"roomAlias":     {"#unknown:example.test", "#foreign:elsewhere.test", "no alias", "#" + strings.Repeat("x", 300)},
		"userId":        {"@unknown:example.test", "@foreign:elsewhere.test", "@carol:example.test", "no user", "@\x00:example.test"},
		"eventId":       {"$unknown", "no event", "$\xff", strings.Repeat("$", 300)},
	}
	const other = "other"
	names[other] = []string{"", "no such thing", "\x00", "\xff", strings.Repeat("x", 5000), "../..", "%2F"}
	for _, wildcard := range wildcards(r.Pattern) {
		values, known := names[wildcard]
		if !known {
			values = names[other]
		}
		for _, value := range values {
			all = append(all, attack{name: fmt.Sprintf("%s is %.40q", wildcard, value), path: map[string]string{wildcard: value}})
		}
	}
	return all
}

// wildcards are the names in braces of a pattern.
func wildcards(pattern string) (names []string) {
	for {
		_, rest, found := strings.Cut(pattern, "{")
		if !found {
			return names
		}
		name, rest, _ := strings.Cut(rest, "}")
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			names = append(names, name)
		}
		pattern = rest
	}
}

var queries = []string{
	"limit=-1", "limit=0", "limit=99999999999999999999", "limit=many", "dir=sideways", "dir=b&limit=1e9",
	"from=nonsense&to=nonsense", "from=%00", "from=-1", "from=99999999999999999999", "since=nonsense", "since=-1", "since=99999999999999999999",
	"pos=nonsense", "timeout=-1", "timeout=soon", "ts=-1", "ts=never", "at=nonsense", "set_presence=dancing",
	"filter=nonsense", "filter=" + url.QueryEscape("{"), "filter=" + url.QueryEscape(`{"room":{"timeline":{"limit":-5,"types":7}}}`),
	"filter=" + url.QueryEscape(strings.Repeat("[", deep)), "membership=absent&not_membership=7", "kind=emperor", "access_token=", "%zz", "a;b",
	"username=" + url.QueryEscape("@\x00"), "server_name=" + strings.Repeat("x", 5000), "guests=perhaps&order_by=height&dir=x",
}

// malformed are the answers to a body that cannot be read.
var malformed = []string{"M_NOT_JSON", "M_BAD_JSON"}

var bodies = append([]attack{
	{name: "no body"},
	{name: "broken JSON", body: `{"a":`, want: malformed},
	{name: "two values", body: `{}{}`, want: malformed},
	{name: "an array", body: `[]`, want: malformed},
	{name: "a string", body: `"x"`, want: malformed},
	{name: "null", body: `null`, want: malformed},
	{name: "duplicate keys", body: `{"a":1,"a":2}`, want: malformed},
	{name: "deep nesting", body: `{"a":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}`, want: append([]string{"M_TOO_LARGE"}, malformed...)},
	{name: "invalid UTF-8", body: "{\"a\":\"\xff\"}", want: malformed},
	{name: "NUL", body: everyField(`"\u0000"`)},
}, wrongTypes()...)

// wrongTypes fill all the fields that any endpoint reads with one value.
func wrongTypes() (all []attack) {
	for _, value := range []string{`1`, `-1`, `1e300`, `1.5`, `true`, `"x"`, `[]`, `{}`, `[[]]`, `{"x":{"x":[]}}`, `null`} {
		all = append(all, attack{name: "all fields are " + value, body: everyField(value)})
	}
	return all
}
