// Package pushrule decides who is notified of an event.
//
// It holds the push rules of a user, evaluates them against an event, and
// edits them as a client asks. It does not know rooms, members or power levels
// (the caller brings what a condition needs in a Context), where rules are
// kept, or how a notification travels.
//
// The life of a user's rules: Stored (what the database keeps) is turned into
// a Ruleset (what GET /pushrules shows) by Apply; Compile makes Rules of it,
// which Evaluate events; the methods of Ruleset edit it, and Store turns it
// back. Specification: client-server-api/#push-rules.
package pushrule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"hearth/matrix/mxerr"
)

// Kind is one of the groups of rules.
type Kind string

// The kinds in the order they are tried.
const (
	Override Kind = "override"
	Content  Kind = "content"
	// PostContent has the server's own rules only (MSC4306).
	PostContent Kind = "postcontent"
	Room        Kind = "room"
	Sender      Kind = "sender"
	Underride   Kind = "underride"
)

// Kinds lists every kind, the most important first.
func Kinds() []Kind { return []Kind{Override, Content, PostContent, Room, Sender, Underride} }

// ParseKind reads the kind in a request's path. An unknown kind is
// M_INVALID_PARAM.
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", mxerr.New(mxerr.InvalidParam, "There is no kind of push rule called %q", s)
}

// Ruleset is the rules of a user, each list with the most important rule
// first. Its JSON is what "global" holds in GET /pushrules/ and in the
// m.push_rules account data.
type Ruleset struct {
	Override    List `json:"override"`
	Content     List `json:"content"`
	PostContent List `json:"postcontent,omitzero"`
	Room        List `json:"room"`
	Sender      List `json:"sender"`
	Underride   List `json:"underride"`
}

// List returns the rules of one kind, nil for a kind that does not exist.
func (rs *Ruleset) List(k Kind) List {
	if l := rs.list(k); l != nil {
		return *l
	}
	return nil
}

func (rs *Ruleset) list(k Kind) *List {
	switch k {
	case Override:
		return &rs.Override
	case Content:
		return &rs.Content
	case PostContent:
		return &rs.PostContent
	case Room:
		return &rs.Room
	case Sender:
		return &rs.Sender
	case Underride:
		return &rs.Underride
	}
	return nil
}

// List is rules of one kind. An empty one is [] in JSON.
type List []Rule

// MarshalJSON writes [] for nil, because clients walk the list unasked.
func (l List) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Rule(l))
}

func (l List) index(id string) int {
	return slices.IndexFunc(l, func(r Rule) bool { return r.ID == id })
}

// Rule is one push rule. Conditions belong to override and underride rules
// and are nil elsewhere; Pattern belongs to content rules.
type Rule struct {
	ID         string      `json:"rule_id"`
	Default    bool        `json:"default"`
	Enabled    bool        `json:"enabled"`
	Actions    Actions     `json:"actions"`
	Conditions []Condition `json:"conditions,omitzero"`
	Pattern    string      `json:"pattern,omitempty"`
}

// Actions is what a matching rule does. No action means silence.
type Actions []Action

// MarshalJSON writes [] for nil.
func (a Actions) MarshalJSON() ([]byte, error) {
	if a == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Action(a))
}

// UnmarshalJSON reads a list of actions. dont_notify and coalesce, which mean
// nothing any more, are kept, so that clients find what they have set
// (client-server-api/#historical-actions).
func (a *Actions) UnmarshalJSON(b []byte) error {
	var all []Action
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if all == nil {
		return errors.New("actions must be a list")
	}
	*a = all
	return nil
}

// Action is "notify" (Tweak empty), a tweak, or one of the historical actions,
// which does nothing. Value is the tweak's value as JSON text, empty if none was
// given.
type Action struct {
	Notify bool
	Past   string // "dont_notify" or "coalesce"
	Tweak  string
	Value  string
}

// MarshalJSON writes "notify" or {"set_tweak": …, "value": …}.
func (a Action) MarshalJSON() ([]byte, error) {
	if a.Past != "" {
		return json.Marshal(a.Past)
	}
	if a.Tweak == "" {
		return []byte(`"notify"`), nil
	}
	return json.Marshal(struct {
		Tweak string          `json:"set_tweak"`
		Value json.RawMessage `json:"value,omitempty"`
	}{a.Tweak, json.RawMessage(a.Value)})
}

// UnmarshalJSON reads one action. One that was never specified is an error.
func (a *Action) UnmarshalJSON(b []byte) error {
	*a = Action{}
	var name string
	if json.Unmarshal(b, &name) == nil {
		switch name {
		case "notify":
			a.Notify = true
			return nil
		case "dont_notify", "coalesce":
			a.Past = name
			return nil
		}
		return fmt.Errorf("there is no action %q", name)
	}
	var o struct {
		Tweak string          `json:"set_tweak"`
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	if o.Tweak == "" {
		return errors.New("an action that is an object needs set_tweak")
	}
	a.Tweak, a.Value = o.Tweak, string(o.Value)
	return nil
}

// Condition is one condition of an override or underride rule. Fields that
// its Kind does not use are ignored.
type Condition struct {
	Kind    string
	Key     string
	Pattern *string
	Is      string
	Value   json.RawMessage // a JSON string, integer, boolean or null

	Subscribed *bool

	// raw is the text it was read from, so that a condition of a newer
	// client's making comes back to it unchanged.
	raw json.RawMessage
}

type conditionJSON struct {
	Kind    string          `json:"kind"`
	Key     string          `json:"key,omitempty"`
	Pattern *string         `json:"pattern,omitempty"`
	Is      string          `json:"is,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`

	Subscribed *bool `json:"subscribed,omitempty"`
}

// MarshalJSON writes the condition as it was read, or else its fields.
func (c Condition) MarshalJSON() ([]byte, error) {
	if c.raw != nil {
		return c.raw, nil
	}
	return json.Marshal(conditionJSON{c.Kind, c.Key, c.Pattern, c.Is, c.Value, c.Subscribed})
}

// UnmarshalJSON refuses a condition without a kind; kinds it does not know
// are fine.
func (c *Condition) UnmarshalJSON(b []byte) error {
	var j conditionJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Kind == "" {
		return errors.New("a condition needs a kind")
	}
	*c = Condition{j.Kind, j.Key, j.Pattern, j.Is, j.Value, j.Subscribed, slices.Clone(b)}
	return nil
}
