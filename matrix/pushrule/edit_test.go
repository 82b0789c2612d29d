package pushrule

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

// put adds a rule as a client would.
func put(t testing.TB, rs Ruleset, k Kind, id, body string, at Place) Ruleset {
	t.Helper()
	rs, err := tryPut(t, rs, k, id, body, at)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func tryPut(t testing.TB, rs Ruleset, k Kind, id, body string, at Place) (Ruleset, error) {
	t.Helper()
	var d Draft
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	return rs.Put(k, id, d, at)
}

func ids(l List) string {
	var s []string
	for _, r := range l {
		if !strings.HasPrefix(r.ID, ".") {
			s = append(s, r.ID)
		}
	}
	return strings.Join(s, " ")
}

func TestPlaces(t *testing.T) {
	const body = `{"actions":["notify"],"conditions":[]}`
	rs := Defaults(alice)
	for _, step := range []struct {
		id   string
		at   Place
		want string
	}{
		{"a", Place{}, "a"},
		{"b", Place{}, "b a"},
		{"c", Place{After: "b"}, "b c a"},
		{"d", Place{Before: "b"}, "d b c a"},
		{"c", Place{}, "d b c a"},
		{"c", Place{Before: "d"}, "c d b a"},
		{"c", Place{After: "a"}, "d b a c"},
		{"d", Place{Before: "c", After: "b"}, "b a d c"},
	} {
		rs = put(t, rs, Override, step.id, body, step.at)
		if got := ids(rs.Override); got != step.want {
			t.Fatalf("%s at %+v: %q, want %q", step.id, step.at, got, step.want)
		}
	}
	if rs.Override[0].ID != master || rs.Override[1].ID != "b" {
		t.Error("the user's rules do not stand between the master rule and the other defaults")
	}
}

func TestRefusals(t *testing.T) {
	rs := put(t, Defaults(alice), Content, "cake", `{"actions":["notify"],"pattern":"cake"}`, Place{})
	const ok = `{"actions":["notify"],"pattern":"x"}`
	long := strings.Repeat("x", maxText+1)
	for _, tc := range []struct {
		name   string
		kind   Kind
		id     string
		body   string
		at     Place
		code   mxerr.Code
		status int
	}{
		{"a default rule", Underride, ".m.rule.message", ok, Place{}, mxerr.InvalidParam, 400},
		{"a reserved id", Content, ".mine", ok, Place{}, mxerr.InvalidParam, 400},
		{"a slash", Content, "a/b", ok, Place{}, mxerr.InvalidParam, 400},
		{"a backslash", Content, `a\b`, ok, Place{}, mxerr.InvalidParam, 400},
		{"no id", Content, "", ok, Place{}, mxerr.InvalidParam, 400},
		{"no actions", Content, "x", `{"pattern":"x"}`, Place{}, mxerr.MissingParam, 400},
		{"no pattern", Content, "x", `{"actions":[]}`, Place{}, mxerr.MissingParam, 400},
		{"before nothing", Content, "x", ok, Place{Before: "pie"}, mxerr.Unknown, 400},
		{"after nothing", Content, "x", ok, Place{After: "pie"}, mxerr.Unknown, 400},
		{"after itself", Content, "cake", ok, Place{After: "cake"}, mxerr.Unknown, 400},
		{"beside a default rule", Override, "x", ok, Place{Before: ".m.rule.reaction"}, mxerr.Unknown, 400},
		{"a very long pattern", Content, "x", `{"actions":[],"pattern":"` + long + `"}`, Place{}, mxerr.InvalidParam, 400},
		{"a very long id", Content, long, ok, Place{}, mxerr.InvalidParam, 400},
		{"a very long tweak", Content, "x", `{"actions":[{"set_tweak":"` + long + `"}],"pattern":"x"}`, Place{}, mxerr.InvalidParam, 400},
		{"a very long key", Override, "x", `{"actions":[],"conditions":[{"kind":"event_match","key":"` + long + `"}]}`, Place{}, mxerr.InvalidParam, 400},
		{"a very long pattern with a ?", Content, "x", `{"actions":[],"pattern":"?` + long[:maxAny] + `"}`, Place{}, mxerr.InvalidParam, 400},
		{"the same in a condition", Override, "x", `{"actions":[],"conditions":[{"kind":"event_match","key":"type","pattern":"?` + long[:maxAny] + `"}]}`, Place{}, mxerr.InvalidParam, 400},
		{"a kind that does not exist", "aftermath", "x", ok, Place{}, mxerr.NotFound, 404},
		{"a kind that only the server fills", PostContent, "x", ok, Place{}, mxerr.InvalidParam, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			after, err := tryPut(t, rs, tc.kind, tc.id, tc.body, tc.at)
			wantError(t, err, tc.code, tc.status)
			if !reflect.DeepEqual(after, rs) {
				t.Error("the rules changed all the same")
			}
		})
	}
	if _, err := ParseKind("aftermath"); err == nil {
		t.Error("ParseKind took an unknown kind")
	}
	var d Draft
	for _, body := range []string{
		`{"actions":["shout"]}`,
		`{"actions":[{"value":1}]}`,
		`{"actions":"notify"}`,
		`{"actions":[],"conditions":[{"key":"type"}]}`,
		`{"actions":[],"conditions":["type"]}`,
	} {
		if json.Unmarshal([]byte(body), &d) == nil {
			t.Errorf("%s was taken", body)
		}
	}
}

func wantError(t *testing.T, err error, code mxerr.Code, status int) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if e := mxerr.From(err); e.Code != code || e.HTTPStatus() != status {
		t.Errorf("got %v (%d), want %s (%d)", err, e.HTTPStatus(), code, status)
	}
}

func TestTooManyRules(t *testing.T) {
	rs := Defaults(alice)
	for i := range maxRules {
		rs.Room = append(rs.Room, Rule{ID: fmt.Sprint("!", i), Enabled: true})
	}
	_, err := tryPut(t, rs, Sender, bob, `{"actions":[]}`, Place{})
	wantError(t, err, mxerr.InvalidParam, 400)
	if _, err := tryPut(t, rs, Room, "!7", `{"actions":[]}`, Place{}); err != nil {
		t.Errorf("an old rule can no longer be changed: %v", err)
	}
}

func TestTooManySearches(t *testing.T) {
	rs := Defaults(alice)
	for i := range maxSearches - 1 {
		rs = put(t, rs, Content, fmt.Sprint("k", i), `{"actions":[],"pattern":"x"}`, Place{})
	}
	const body = `{"actions":[],"conditions":[{"kind":"event_match","key":"content.body","pattern":"x"},{"kind":"contains_display_name"}]}`
	_, err := tryPut(t, rs, Override, "two", body, Place{})
	wantError(t, err, mxerr.InvalidParam, 400)
	put(t, rs, Override, "room", `{"actions":[],"conditions":[{"kind":"event_match","key":"room_id","pattern":"!x:y"}]}`, Place{})
	put(t, rs, Override, "one", `{"actions":[],"conditions":[{"kind":"contains_display_name"}]}`, Place{})
}

func TestEnableActionsDelete(t *testing.T) {
	before := put(t, Defaults(alice), Room, den, `{"actions":["dont_notify"]}`, Place{})
	hears := func(rs Ruleset) bool {
		return Compile(rs, alice).Evaluate(NewFields(said("hi")), Context{Members: 2}).Notify
	}
	if hears(before) {
		t.Error("a muted room is heard")
	}
	off, err := before.Enable(Room, den, false)
	if err != nil || !hears(off) {
		t.Errorf("a disabled rule still mutes (%v)", err)
	}
	if again := put(t, off, Room, den, `{"actions":[]}`, Place{}); !hears(again) {
		t.Error("changing a disabled rule enabled it")
	}
	loud, err := before.SetActions(Room, den, Actions{{Notify: true}})
	if err != nil || !hears(loud) {
		t.Errorf("new actions have no effect (%v)", err)
	}
	gone, err := before.Delete(Room, den)
	if err != nil || !hears(gone) {
		t.Errorf("a deleted rule still mutes (%v)", err)
	}
	if hears(before) {
		t.Error("an edit changed the ruleset it was made from")
	}

	quiet, err := before.SetActions(Underride, ".m.rule.room_one_to_one", nil)
	if err != nil {
		t.Fatal(err)
	}
	if quiet, err = quiet.Delete(Room, den); err != nil || hears(quiet) {
		t.Errorf("actions of a default rule cannot be changed (%v)", err)
	}

	_, err = before.Delete(Underride, ".m.rule.message")
	wantError(t, err, mxerr.InvalidParam, 400)
	_, err = before.Get(Room, "!elsewhere:x")
	wantError(t, err, mxerr.NotFound, 404)
	_, err = before.Delete(Room, "!elsewhere:x")
	wantError(t, err, mxerr.NotFound, 404)
	_, err = before.Enable(Sender, den, true)
	wantError(t, err, mxerr.NotFound, 404)
	_, err = before.SetActions("nokind", den, nil)
	wantError(t, err, mxerr.NotFound, 404)
	_, err = before.SetActions(Room, den, make(Actions, maxActions+1))
	wantError(t, err, mxerr.InvalidParam, 400)
}

func TestStoredKeepsOnlyDifferences(t *testing.T) {
	if s := Store(Defaults(alice), alice); len(s.Changed) != 0 || ids(s.Apply(alice).Override) != "" {
		t.Errorf("defaults are stored: %+v", s)
	}
	rs := Defaults(alice)
	rs = put(t, rs, Override, "later", `{"actions":["notify"],"conditions":[{"kind":"org.example.moon","phase":"full"}]}`, Place{})
	rs = put(t, rs, Override, "sooner", `{"actions":[],"conditions":[]}`, Place{})
	rs = put(t, rs, Content, "cake", `{"actions":["notify",{"set_tweak":"sound","value":"cake.wav"}],"pattern":"cake"}`, Place{})
	rs, _ = rs.Enable(Override, master, true)
	rs, _ = rs.Enable(Content, "cake", false)
	rs, _ = rs.SetActions(Underride, ".m.rule.message", nil)

	b, err := json.Marshal(Store(rs, alice))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), ".m.rule.reaction") || strings.Contains(string(b), "m.room.encrypted") {
		t.Errorf("an unchanged default rule is stored: %s", b)
	}
	var back Stored
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	got, want := asJSON(t, back.Apply(alice)), asJSON(t, rs)
	if got != want {
		t.Errorf("came back as\n%s\nwas\n%s", got, want)
	}

	back.Changed[".m.rule.of_a_version_to_come"] = Change{}
	if got := asJSON(t, back.Apply(alice)); got != want {
		t.Error("a change to an unknown default rule has an effect")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestJSONShape(t *testing.T) {
	rs := put(t, Ruleset{}, Content, "cake", `{"actions":["notify",{"set_tweak":"highlight"}],"pattern":"c","conditions":[]}`, Place{})
	rs = put(t, rs, Override, "x", `{"actions":["dont_notify"],"pattern":"no"}`, Place{})
	const want = `{"override":[{"rule_id":"x","default":false,"enabled":true,"actions":["dont_notify"],"conditions":[]}],` +
		`"content":[{"rule_id":"cake","default":false,"enabled":true,"actions":["notify",{"set_tweak":"highlight"}],"pattern":"c"}],` +
		`"room":[],"sender":[],"underride":[]}`
	if got := asJSON(t, rs); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	tomb, err := Defaults(alice).Get(Override, ".m.rule.tombstone")
	if err != nil {
		t.Fatal(err)
	}
	const wantTomb = `{"rule_id":".m.rule.tombstone","default":true,"enabled":true,"actions":["notify",{"set_tweak":"highlight"}],` +
		`"conditions":[{"kind":"event_match","key":"type","pattern":"m.room.tombstone"},{"kind":"event_match","key":"state_key","pattern":""}]}`
	if got := asJSON(t, tomb); got != wantTomb {
		t.Errorf("got\n%s\nwant\n%s", got, wantTomb)
	}
}

// Stored.Changed is keyed by id alone, so no two kinds may share one.
func TestDefaultIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	rs := Defaults(alice)
	for _, k := range Kinds() {
		for _, r := range rs.List(k) {
			if seen[r.ID] || r.ID[0] != '.' || !r.Default {
				t.Errorf("%s: twice, or not marked as a default", r.ID)
			}
			seen[r.ID] = true
		}
	}
}
