package feed

import (
	"encoding/json"
	"slices"
	"strings"

	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

const member = "m.room.member"

// stateConfig is a required_state: which state of a room a rule wants.
type stateConfig struct {
	id               string // equal configs have equal ids
	include, exclude stateSet
	lazy             bool // members only as the timeline needs them
}

// stateSet is a set of pieces of state, some of them by their type or their
// state key alone.
type stateSet struct {
	all   bool
	exact map[room.Key]bool
	types map[string]bool
	keys  map[string]bool
}

func (s *stateSet) add(typ, key *string) {
	switch {
	case typ == nil && key == nil:
		s.all = true
	case key == nil:
		if s.types == nil {
			s.types = map[string]bool{}
		}
		s.types[*typ] = true
	case typ == nil:
		if s.keys == nil {
			s.keys = map[string]bool{}
		}
		s.keys[*key] = true
	default:
		if s.exact == nil {
			s.exact = map[room.Key]bool{}
		}
		s.exact[room.Key{Type: *typ, StateKey: *key}] = true
	}
}

// named reports whether a key is in the set by more than "everything".
func (s *stateSet) named(k room.Key) bool {
	return s.types[k.Type] || s.keys[k.StateKey] || s.exact[k]
}

func (s *stateSet) has(k room.Key) bool { return s.all || s.named(k) }

// wants reports whether a rule wants a piece of state. Everything is everything
// but members where those come lazily.
func (c *stateConfig) wants(k room.Key) bool {
	in := c.include.has(k)
	if c.lazy && k.Type == member {
		in = c.include.named(k)
	}
	return in && !c.exclude.has(k)
}

// allMembers reports whether a rule wants every member.
func (c *stateConfig) allMembers() bool {
	return (c.include.types[member] || c.include.all && !c.lazy) && !c.exclude.all && !c.exclude.types[member]
}

// parseRequired reads a required_state, as a list of pairs in the manner of the
// unstable endpoint or as an object in that of the MSC.
func parseRequired(raw json.RawMessage, user string) (*stateConfig, error) {
	c := &stateConfig{}
	var id []string
	if len(raw) > 0 && raw[0] == '[' {
		var pairs [][]string
		if err := json.Unmarshal(raw, &pairs); err != nil {
			return nil, mxerr.New(mxerr.BadJSON, "each entry is a pair of a type and a state key")
		}
		if len(pairs) > maxSlideState {
			return nil, mxerr.New(mxerr.InvalidParam, "there are more than %d entries", maxSlideState)
		}
		for _, p := range pairs {
			if len(p) != 2 {
				return nil, mxerr.New(mxerr.InvalidParam, "each entry is a pair of a type and a state key")
			}
			id = append(id, c.addPair(p[0], p[1], user))
		}
	} else if len(raw) > 0 && string(raw) != "null" {
		var err error
		if id, err = c.readObject(raw, user); err != nil {
			return nil, err
		}
	}
	slices.Sort(id)
	c.id = strings.Join(slices.Compact(id), "\x00")
	return c, nil
}

// addPair adds an entry in which "*", "$ME" and "$LAZY" have meanings. It
// returns its part of the id.
func (c *stateConfig) addPair(typ, key, user string) string {
	if key == "$LAZY" {
		// It means something for members only; nobody has it as a state key.
		c.lazy = c.lazy || typ == member
		return "lazy"
	}
	if key == "$ME" {
		key = user
	}
	t, k := &typ, &key
	if typ == "*" {
		t = nil
	}
	if key == "*" {
		k = nil
	}
	c.include.add(t, k)
	return elementID("+", t, k)
}

func elementID(sign string, typ, key *string) string {
	b := []byte(sign)
	for _, s := range []*string{typ, key} {
		if s == nil {
			b = append(b, '*')
		} else {
			b = canonjson.Quote(b, *s)
		}
	}
	return string(b)
}

func (c *stateConfig) readObject(raw json.RawMessage, user string) (id []string, err error) {
	type element struct {
		Type     *string `json:"type"`
		StateKey *string `json:"state_key"`
	}
	var o struct {
		Include []element `json:"include"`
		Exclude []element `json:"exclude"`
		Lazy    bool      `json:"lazy_members"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, mxerr.New(mxerr.BadJSON, "it must be an object with the lists include and exclude")
	}
	if len(o.Include)+len(o.Exclude) > maxSlideState {
		return nil, mxerr.New(mxerr.InvalidParam, "there are more than %d entries", maxSlideState)
	}
	if o.Lazy {
		c.lazy = true
		id = append(id, "lazy")
	}
	for _, e := range o.Include {
		if e.StateKey != nil && *e.StateKey == "$ME" {
			e.StateKey = &user
		}
		c.include.add(e.Type, e.StateKey)
		id = append(id, elementID("+", e.Type, e.StateKey))
	}
	for _, e := range o.Exclude {
		c.exclude.add(e.Type, e.StateKey)
		id = append(id, elementID("-", e.Type, e.StateKey))
	}
	return id, nil
}

// roomConfig is what the rules that a room matches want of its state: what any
// of them wants.
type roomConfig struct {
	id    string
	parts []*stateConfig
	lazy  bool
}

func combine(parts []*stateConfig) *roomConfig {
	slices.SortFunc(parts, func(a, b *stateConfig) int { return strings.Compare(a.id, b.id) })
	parts = slices.CompactFunc(parts, func(a, b *stateConfig) bool { return a.id == b.id })
	c := &roomConfig{parts: parts}
	ids := make([]string, len(parts))
	for i, p := range parts {
		ids[i] = p.id
		c.lazy = c.lazy || p.lazy
	}
	c.id = strings.Join(ids, "\x01")
	c.lazy = c.lazy && !c.allMembers()
	return c
}

func (c *roomConfig) wants(k room.Key) bool {
	for _, p := range c.parts {
		if p.wants(k) {
			return true
		}
	}
	return false
}

// covers reports whether c has all that other wants.
func (c *roomConfig) covers(other *roomConfig) bool {
	if c.id == other.id {
		return true
	}
	for _, p := range other.parts {
		if !slices.ContainsFunc(c.parts, func(q *stateConfig) bool { return q.id == p.id }) {
			return false
		}
	}
	return true
}

// maxParts bounds what and puts together.
const maxParts = 16

// and is what either wants; what other wants if that gets too much.
func (c *roomConfig) and(other *roomConfig) *roomConfig {
	switch {
	case c.covers(other):
		return c
	case len(c.parts)+len(other.parts) > maxParts:
		return other
	}
	return combine(slices.Concat(c.parts, other.parts))
}

func (c *roomConfig) allMembers() bool {
	for _, p := range c.parts {
		if p.allMembers() {
			return true
		}
	}
	return false
}

// members are the users whose member events are wanted by name.
func (c *roomConfig) members() (users []string) {
	for _, p := range c.parts {
		for k := range p.include.exact {
			if k.Type == member {
				users = append(users, k.StateKey)
			}
		}
		for k := range p.include.keys {
			users = append(users, k)
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}
