package spaces

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// Bounds of a walk through a space.
const (
	MaxDepth    = 50   // also what is used if nobody says
	maxChildren = 1000 // of one space
	maxWalk     = 5000 // rooms of a whole space
)

// maxOrder bounds the order of a child (client-server-api/#mspacechild).
const maxOrder = 50

// validOrder tells orders that count: printable ASCII.
func validOrder(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= maxOrder
}

func compareChildren(a, b child) int {
	switch {
	case a.order != "" && b.order == "":
		return -1
	case a.order == "" && b.order != "":
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.order, b.order),
		cmp.Compare(a.event.OriginServerTS, b.event.OriginServerTS),
		cmp.Compare(a.id, b.id),
	)
}

// Node is a room of a space with the rooms that it names.
type Node struct {
	*Summary
	Children []ChildState `json:"children_state"`
}

// ChildState is an m.space.child event without what nobody needs.
type ChildState struct {
	Type     string          `json:"type"`
	StateKey string          `json:"state_key"`
	Content  json.RawMessage `json:"content"`
	Sender   string          `json:"sender"`
	TS       int64           `json:"origin_server_ts"`
}

// Walk says which part of a space is wanted.
type Walk struct {
	Root, User    string
	SuggestedOnly bool
	All           bool // also rooms that the user may not know of
	MaxDepth      int
	Skip, Limit   int // rooms before those that are wanted, and how many are
}

// Hierarchy returns rooms of a space, parents before children, and whether
// there are more. A root that the user may not know of is M_FORBIDDEN; such
// rooms below it are left out.
func (e *Engine) Hierarchy(ctx context.Context, w Walk) (rooms []*Node, more bool, err error) {
	type stop struct {
		id    string
		depth int
	}
	todo := []stop{{w.Root, 0}} // the next one last
	seen := map[string]bool{w.Root: true}
	most := cmp.Or(e.MaxWalk, maxWalk)
	for found := 0; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		node, err := e.node(ctx, at.id, w)
		if err != nil {
			return nil, false, err
		}
		if node == nil {
			if at.depth == 0 {
				return nil, false, mxerr.New(mxerr.Forbidden, "You may not look into this room")
			}
			continue
		}
		if found++; found > w.Skip {
			if len(rooms) == w.Limit {
				return rooms, true, nil
			}
			rooms = append(rooms, node)
		}
		if at.depth >= w.MaxDepth {
			continue
		}
		first := len(todo)
		for _, c := range node.Children {
			if id := c.StateKey; !seen[id] && len(seen) < most {
				seen[id] = true
				todo = append(todo, stop{id, at.depth + 1})
			}
		}
		slices.Reverse(todo[first:])
	}
	return rooms, false, nil
}

// node looks at one room; nil for one that the user may not know of.
func (e *Engine) node(ctx context.Context, id string, w Walk) (*Node, error) {
	s, _, ok, err := e.look(ctx, id, w.User)
	if err != nil || !ok && (s == nil || !w.All) {
		return nil, err
	}
	n := &Node{Summary: s, Children: []ChildState{}}
	if s.RoomType != "m.space" {
		return n, nil // what other rooms name is nobody's child
	}
	children, err := e.children(ctx, id, w.SuggestedOnly)
	if err != nil {
		return nil, err
	}
	for _, c := range children {
		n.Children = append(n.Children, childState(c.event))
	}
	return n, nil
}

func childState(ev *room.Event) ChildState {
	return ChildState{Type: ev.Type, StateKey: *ev.StateKey, Content: ev.Content, Sender: ev.Sender, TS: ev.OriginServerTS}
}
