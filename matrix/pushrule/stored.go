package pushrule

import "slices"

// Stored is a user's rules as the database keeps them: the user's own rules,
// and of the default rules only what the user changed. So a default rule that
// a later version of Hearth brings reaches users who made theirs long ago.
type Stored struct {
	Own     Ruleset           `json:"own"`
	Changed map[string]Change `json:"changed,omitempty"` // by id of a default rule
}

// Change is how a default rule differs from its definition; nil is unchanged.
type Change struct {
	Enabled *bool    `json:"enabled,omitempty"`
	Actions *Actions `json:"actions,omitempty"`
}

// Apply returns the user's rules in force: the rule that silences everything,
// then the user's own, then the other defaults. The zero Stored gives
// Defaults(userID).
func (s Stored) Apply(userID string) Ruleset {
	rs := Defaults(userID)
	for _, k := range Kinds() {
		l := rs.list(k)
		for i := range *l {
			s.Changed[(*l)[i].ID].apply(&(*l)[i])
		}
		at := 0
		if len(*l) > 0 && (*l)[0].ID == master {
			at = 1
		}
		*l = slices.Insert(*l, at, s.Own.List(k)...)
	}
	return rs
}

func (c Change) apply(r *Rule) {
	if c.Enabled != nil {
		r.Enabled = *c.Enabled
	}
	if c.Actions != nil {
		r.Actions = *c.Actions
	}
}

// Store returns what of rs differs from the user's defaults.
func Store(rs Ruleset, userID string) Stored {
	s := Stored{Changed: map[string]Change{}}
	defaults := Defaults(userID)
	for _, k := range Kinds() {
		was := defaults.List(k)
		for _, r := range rs.List(k) {
			i := was.index(r.ID)
			switch {
			case !r.Default:
				own := s.Own.list(k)
				*own = append(*own, r)
			case i >= 0:
				if c := changed(was[i], r); c != (Change{}) {
					s.Changed[r.ID] = c
				}
			}
		}
	}
	return s
}

func changed(from, to Rule) Change {
	var c Change
	if from.Enabled != to.Enabled {
		c.Enabled = &to.Enabled
	}
	if !slices.Equal(from.Actions, to.Actions) {
		c.Actions = &to.Actions
	}
	return c
}
