package pushrule

import (
	"net/http"
	"slices"
	"strings"

	"hearth/matrix/mxerr"
)

// What one user may keep. A rule is evaluated for every event in each of the
// user's rooms, so these bound work as well as space.
const (
	maxRules      = 5000 // a rule for each of very many muted rooms
	maxSearches   = 250  // rules and conditions that read through the content
	maxConditions = 64
	maxActions    = 16
	maxText       = 1024 // bytes of an id, a key or a pattern
)

// Draft is the body of PUT /pushrules/global/{kind}/{ruleId}.
type Draft struct {
	Actions    *Actions    `json:"actions"` // nil if the client left it out
	Conditions []Condition `json:"conditions"`
	Pattern    string      `json:"pattern"`
}

// Place says where a new or changed rule goes: right before or right after
// the user's own rule of that id. Before wins if both are given.
type Place struct{ Before, After string }

// Get returns a rule, or M_NOT_FOUND.
func (rs Ruleset) Get(k Kind, id string) (Rule, error) {
	l := rs.List(k)
	if i := l.index(id); i >= 0 {
		return l[i], nil
	}
	return Rule{}, notFound()
}

func notFound() error { return mxerr.New(mxerr.NotFound, "The push rule was not found") }

// Put adds a rule of the user's own, or changes it if it exists, and returns
// the new Ruleset; rs stays as it is. A new rule is enabled and, unless at
// says otherwise, more important than the user's others of its kind; a changed
// one keeps its place and stays disabled if it was.
//
// Errors: M_MISSING_PARAM without actions, or without the pattern of a content
// rule; M_INVALID_PARAM for an id that is reserved or malformed and for too
// long a rule; M_UNKNOWN (400) if at names no rule of the user's.
func (rs Ruleset) Put(k Kind, id string, d Draft, at Place) (Ruleset, error) {
	if rs.list(k) == nil {
		return rs, notFound()
	}
	if k == PostContent {
		return rs, mxerr.New(mxerr.InvalidParam, "Rules of the kind %s are the server's own", k)
	}
	if err := checkID(id); err != nil {
		return rs, err
	}
	if err := d.check(k); err != nil {
		return rs, err
	}
	r := Rule{ID: id, Enabled: true, Actions: *d.Actions}
	switch k {
	case Override, Underride:
		r.Conditions = append([]Condition{}, d.Conditions...)
	case Content:
		r.Pattern = d.Pattern
	}
	l := slices.Clone(rs.List(k))
	old := l.index(id)
	if old >= 0 {
		r.Enabled = l[old].Enabled
		l = slices.Delete(l, old, old+1)
	}
	i, err := l.place(at, old)
	if err != nil {
		return rs, err
	}
	after := rs
	*after.list(k) = slices.Insert(l, i, r)
	if err := after.checkSize(); err != nil {
		return rs, err
	}
	return after, nil
}

// checkID: the characters are those the specification reserves for its own
// ids and for paths.
func checkID(id string) error {
	switch {
	case id == "":
		return mxerr.New(mxerr.InvalidParam, "A push rule needs an id")
	case strings.HasPrefix(id, "."):
		return mxerr.New(mxerr.InvalidParam, "Ids that start with a dot are reserved for the server's own rules")
	case strings.ContainsAny(id, `/\`):
		return mxerr.New(mxerr.InvalidParam, "The id of a push rule must not contain a slash or a backslash")
	case len(id) > maxText:
		return mxerr.New(mxerr.InvalidParam, "The id of a push rule must not be longer than %d bytes", maxText)
	}
	return nil
}

func (d Draft) check(k Kind) error {
	switch {
	case d.Actions == nil:
		return mxerr.New(mxerr.MissingParam, "A push rule needs actions")
	case k == Content && d.Pattern == "":
		return mxerr.New(mxerr.MissingParam, "A content rule needs a pattern")
	case len(d.Pattern) > maxText:
		return mxerr.New(mxerr.InvalidParam, "The pattern must not be longer than %d bytes", maxText)
	case len(d.Conditions) > maxConditions:
		return mxerr.New(mxerr.InvalidParam, "A push rule may have %d conditions", maxConditions)
	}
	if _, ok := newGlob(d.Pattern); !ok {
		return badGlob()
	}
	for _, c := range d.Conditions {
		if c.Pattern != nil {
			if _, ok := newGlob(*c.Pattern); !ok {
				return badGlob()
			}
		}
		if len(c.Key) > maxText || len(c.raw) > 4*maxText {
			return mxerr.New(mxerr.InvalidParam, "A condition is too long")
		}
	}
	return checkActions(*d.Actions)
}

func badGlob() error {
	return mxerr.New(mxerr.InvalidParam, "Without a * in between, a pattern with a ? may have %d characters", maxAny)
}

func checkActions(as Actions) error {
	if len(as) > maxActions {
		return mxerr.New(mxerr.InvalidParam, "A push rule may have %d actions", maxActions)
	}
	for _, a := range as {
		if len(a.Tweak)+len(a.Value) > maxText {
			return mxerr.New(mxerr.InvalidParam, "An action is too long")
		}
	}
	return nil
}

// checkSize counts the user's own rules.
func (rs *Ruleset) checkSize() error {
	rules, searches := 0, 0
	for _, k := range Kinds() {
		for _, r := range rs.List(k) {
			if r.Default {
				continue
			}
			rules++
			if k == Content {
				searches++
			}
			for _, c := range r.Conditions {
				if c.searches() {
					searches++
				}
			}
		}
	}
	switch {
	case rules > maxRules:
		return mxerr.New(mxerr.InvalidParam, "You have %d push rules, which is as many as fit", maxRules)
	case searches > maxSearches:
		return mxerr.New(mxerr.InvalidParam, "You look for %d things in messages, which is as many as fit", maxSearches)
	}
	return nil
}

// searches reports whether a condition takes longer the more is in an event.
func (c Condition) searches() bool {
	switch c.Kind {
	case "event_match":
		return strings.HasPrefix(c.Key, "content")
	case "event_property_contains", "contains_display_name":
		return true
	}
	return false
}

// place finds the index for a rule that is not in l; old is where it was, or
// negative if it is new.
func (l List) place(at Place, old int) (int, error) {
	if id := at.Before; id != "" {
		i, err := l.ownIndex(id)
		return i, err
	}
	if id := at.After; id != "" {
		i, err := l.ownIndex(id)
		return i + 1, err
	}
	if old >= 0 {
		return old, nil
	}
	if len(l) > 0 && l[0].ID == master {
		return 1, nil
	}
	return 0, nil
}

func (l List) ownIndex(id string) (int, error) {
	i := l.index(id)
	if i < 0 || l[i].Default {
		return 0, &mxerr.Error{
			Code:   mxerr.Unknown,
			Text:   "before/after rule not found: " + id,
			Status: http.StatusBadRequest,
		}
	}
	return i, nil
}

// Delete returns the Ruleset without one of the user's own rules. A rule that
// does not exist is M_NOT_FOUND, a default rule M_INVALID_PARAM: it can be
// disabled instead.
func (rs Ruleset) Delete(k Kind, id string) (Ruleset, error) {
	r, err := rs.Get(k, id)
	if err != nil {
		return rs, err
	}
	if r.Default {
		return rs, mxerr.New(mxerr.InvalidParam, "The server's own rules cannot be deleted, only disabled")
	}
	l := slices.Clone(rs.List(k))
	i := l.index(id)
	*rs.list(k) = slices.Delete(l, i, i+1)
	return rs, nil
}

// Enable returns the Ruleset with a rule, default or not, switched on or off.
// A rule that does not exist is M_NOT_FOUND.
func (rs Ruleset) Enable(k Kind, id string, on bool) (Ruleset, error) {
	return rs.change(k, id, func(r *Rule) { r.Enabled = on })
}

// SetActions returns the Ruleset with other actions for a rule, default or
// not. A rule that does not exist is M_NOT_FOUND; too many or too long actions
// are M_INVALID_PARAM.
func (rs Ruleset) SetActions(k Kind, id string, a Actions) (Ruleset, error) {
	if err := checkActions(a); err != nil {
		return rs, err
	}
	return rs.change(k, id, func(r *Rule) { r.Actions = a })
}

func (rs Ruleset) change(k Kind, id string, f func(*Rule)) (Ruleset, error) {
	if _, err := rs.Get(k, id); err != nil {
		return rs, err
	}
	l := slices.Clone(rs.List(k))
	f(&l[l.index(id)])
	*rs.list(k) = l
	return rs, nil
}
