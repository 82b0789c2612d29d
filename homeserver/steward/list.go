package steward

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
)

// Room is what an operator sees of a room.
type Room struct {
	ID             string  `json:"room_id"`
	Name           *string `json:"name"`
	CanonicalAlias *string `json:"canonical_alias"`
	Joined         int64   `json:"joined_members"`
	JoinedLocal    int64   `json:"joined_local_members"`
	Version        string  `json:"version"`
	Creator        *string `json:"creator"`
	Encryption     *string `json:"encryption"`
	Federatable    bool    `json:"federatable"`
	Public         bool    `json:"public"`
	JoinRules      *string `json:"join_rules"`
	GuestAccess    *string `json:"guest_access"`
	History        *string `json:"history_visibility"`
	StateEvents    int64   `json:"state_events"`
	Type           *string `json:"room_type"`

	Avatar, Topic, Replacement *string `json:"-"`
	Tombstoned                 bool    `json:"-"`

	nid int64
}

// facts are the pieces of state that a Room is made of: type, member of the
// content, and where it goes.
var facts = []struct {
	typ, field string
	to         func(*Room) **string
}{
	{"m.room.name", "name", func(r *Room) **string { return &r.Name }},
	{"m.room.canonical_alias", "alias", func(r *Room) **string { return &r.CanonicalAlias }},
	{"m.room.encryption", "algorithm", func(r *Room) **string { return &r.Encryption }},
	{"m.room.join_rules", "join_rule", func(r *Room) **string { return &r.JoinRules }},
	{"m.room.guest_access", "guest_access", func(r *Room) **string { return &r.GuestAccess }},
	{"m.room.history_visibility", "history_visibility", func(r *Room) **string { return &r.History }},
	{"m.room.create", "type", func(r *Room) **string { return &r.Type }},
	{"m.room.avatar", "url", func(r *Room) **string { return &r.Avatar }},
	{"m.room.topic", "topic", func(r *Room) **string { return &r.Topic }},
	{"m.room.tombstone", "replacement_room", func(r *Room) **string { return &r.Replacement }},
}

// rooms reads all rooms, or one if nid is not 0.
func (s *Steward) rooms(ctx context.Context, nid int64) (all []*Room, err error) {
	var types []string
	for _, f := range facts {
		types = append(types, f.typ)
	}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.AllRooms(tx)
		if err != nil {
			return err
		}
		counts, err := store.StateCounts(tx)
		if err != nil {
			return err
		}
		byNID := map[int64]*Room{}
		all = nil
		for _, row := range rows {
			if nid != 0 && row.NID != nid {
				continue
			}
			r := &Room{
				ID: row.RoomID, Version: row.Version, Joined: row.Joined, JoinedLocal: row.Joined, Public: row.Listed,
				Federatable: true, StateEvents: counts[row.NID], nid: row.NID,
			}
			byNID[row.NID], all = r, append(all, r)
		}
		return store.RoomFacts(tx, nid, types, func(f store.RoomFact) error {
			if r := byNID[f.Room]; r != nil {
				r.take(f)
			}
			return nil
		})
	})
	return all, err
}

// take notes what a state event says.
func (r *Room) take(f store.RoomFact) {
	content, _ := canonjson.Get(f.JSON, "content")
	for _, want := range facts {
		if want.typ != f.Type {
			continue
		}
		if text, ok := canonjson.GetString(content, want.field); ok {
			*want.to(r) = &text
		}
	}
	switch f.Type {
	case "m.room.create":
		if sender, ok := canonjson.GetString(f.JSON, "sender"); ok {
			r.Creator = &sender
		}
		if open, ok := canonjson.GetBool(content, "m.federate"); ok {
			r.Federatable = open
		}
	case "m.room.tombstone":
		r.Tombstoned = true
	}
}

// Query says which rooms to list, and how.
type Query struct {
	Search        string // in the name, or the start of the id or alias
	Public, Empty *bool  // only such rooms, or only others
	Order         string // one of Orders
	Backward      bool
	From, Limit   int
}

// orders compare rooms as Synapse does, which begins with the largest sizes and
// versions. Names that rooms may lack come first without.
var orders = map[string]func(a, b *Room) int{
	"name":                 byText(func(r *Room) *string { return r.Name }),
	"canonical_alias":      byText(func(r *Room) *string { return r.CanonicalAlias }),
	"creator":              byText(func(r *Room) *string { return r.Creator }),
	"encryption":           byText(func(r *Room) *string { return r.Encryption }),
	"join_rules":           byText(func(r *Room) *string { return r.JoinRules }),
	"guest_access":         byText(func(r *Room) *string { return r.GuestAccess }),
	"history_visibility":   byText(func(r *Room) *string { return r.History }),
	"version":              func(a, b *Room) int { return cmp.Compare(b.Version, a.Version) },
	"joined_members":       func(a, b *Room) int { return cmp.Compare(b.Joined, a.Joined) },
	"joined_local_members": func(a, b *Room) int { return cmp.Compare(b.JoinedLocal, a.JoinedLocal) },
	"state_events":         func(a, b *Room) int { return cmp.Compare(b.StateEvents, a.StateEvents) },
	"federatable":          func(a, b *Room) int { return cmp.Compare(truth(a.Federatable), truth(b.Federatable)) },
	"public":               func(a, b *Room) int { return cmp.Compare(truth(a.Public), truth(b.Public)) },
	"alphabetical":         byText(func(r *Room) *string { return r.Name }),
	"size":                 func(a, b *Room) int { return cmp.Compare(b.Joined, a.Joined) },
}

// Orders reports whether rooms can be listed in an order.
func Orders(name string) bool { return orders[name] != nil }

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func byText(of func(*Room) *string) func(a, b *Room) int {
	return func(a, b *Room) int {
		x, y := of(a), of(b)
		switch {
		case x == nil || y == nil:
			return cmp.Compare(truth(x != nil), truth(y != nil))
		default:
			return cmp.Compare(*x, *y)
		}
	}
}

// List returns a page of rooms, and how many there are in all.
func (s *Steward) List(ctx context.Context, q Query) (page []*Room, total int, err error) {
	all, err := s.rooms(ctx, 0)
	if err != nil {
		return nil, 0, err
	}
	all = slices.DeleteFunc(all, func(r *Room) bool { return !q.wants(r) })
	order := orders[cmp.Or(q.Order, "name")]
	slices.SortStableFunc(all, func(a, b *Room) int {
		c := cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID))
		if q.Backward {
			c = -c
		}
		return c
	})
	from := min(q.From, len(all))
	return all[from : from+min(q.Limit, len(all)-from)], len(all), nil
}

func (q *Query) wants(r *Room) bool {
	if q.Public != nil && *q.Public != r.Public || q.Empty != nil && *q.Empty != (r.Joined == 0) {
		return false
	}
	if q.Search == "" {
		return true
	}
	word := strings.ToLower(q.Search)
	if r.Name != nil && strings.Contains(strings.ToLower(*r.Name), word) || strings.HasPrefix(r.ID, q.Search) {
		return true
	}
	return r.CanonicalAlias != nil && strings.Contains(strings.ToLower(*r.CanonicalAlias), word)
}

// Details returns one room, or M_NOT_FOUND.
func (s *Steward) Details(ctx context.Context, roomID string) (*Room, error) {
	r, err := s.Rooms.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	all, err := s.rooms(ctx, r.NID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// Largest returns the rooms whose events take most bytes in the database.
func (s *Steward) Largest(ctx context.Context) (sizes []store.RoomSize, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		sizes, err = store.LargestRooms(tx)
		return err
	})
	return sizes, err
}
