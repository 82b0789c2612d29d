package relation

import (
	"cmp"
	"context"
	"math"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// Query asks for children of an event.
type Query struct {
	Parent    string
	RelType   string // "" for all
	Type      string // of the children, "" for all
	From, End int64  // places, exclusive
	Backward  bool
	Limit     int
	Recurse   bool // children of children too
}

// Depth is how far a recursive query goes.
const Depth = 3

// Bounds of one query.
const (
	maxRows = 2000  // children looked at to fill a page
	maxTree = 10000 // events of a tree
)

// Children returns up to q.Limit children that the user sees, and whether there
// are more behind the last.
func (x *Reader) Children(ctx context.Context, q Query) (found []*room.Event, more bool, err error) {
	if q.Recurse {
		return x.tree(ctx, q)
	}
	for seen := 0; seen < maxRows; {
		n := max(q.Limit-len(found)+1, 20)
		rows, err := x.rows(ctx, q, []string{q.Parent}, n)
		if err != nil {
			return nil, false, err
		}
		if found, more, err = x.fill(ctx, found, rows, q); err != nil || more {
			return found, more, err
		}
		if len(rows) < n {
			return found, false, nil
		}
		q.From = rows[len(rows)-1].Ord
		seen += len(rows)
	}
	return found, len(found) > 0, nil
}

// fill adds those of rows that the user sees, and reports whether there is one
// too many.
func (x *Reader) fill(ctx context.Context, found []*room.Event, rows []store.Relation, q Query) ([]*room.Event, bool, error) {
	for len(rows) > 0 {
		part := rows[:min(len(rows), q.Limit+1)]
		rows = rows[len(part):]
		nids := make([]int64, len(part))
		for i, row := range part {
			nids[i] = row.Event
		}
		events, err := x.visible(ctx, nids)
		if err != nil {
			return nil, false, err
		}
		for _, nid := range nids {
			ev := events[nid]
			if ev == nil {
				continue
			}
			if len(found) == q.Limit {
				return found, true, nil
			}
			found = append(found, ev)
		}
	}
	return found, false, nil
}

func (x *Reader) rows(ctx context.Context, q Query, parents []string, n int) (rows []store.Relation, err error) {
	err = x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		sq := store.RelationQuery{Parents: parents, Type: q.Type, From: q.From, End: q.End, Backward: q.Backward, Limit: n}
		if q.RelType != "" {
			sq.RelTypes = []string{q.RelType}
		}
		rows, err = store.Relations(tx, sq)
		return err
	})
	return rows[:min(n, len(rows))], err
}

// tree is Children with children of children. What matters of them is the
// filter; that of what they hang on does not.
func (x *Reader) tree(ctx context.Context, q Query) ([]*room.Event, bool, error) {
	var all []store.Relation
	seen := map[int64]bool{}
	parents := []string{q.Parent}
	for level := 0; level < Depth && len(parents) > 0 && len(all) < maxTree; level++ {
		rows, err := x.level(ctx, parents)
		if err != nil {
			return nil, false, err
		}
		rows = slices.DeleteFunc(rows, func(row store.Relation) bool {
			again := seen[row.Event]
			seen[row.Event] = true
			return again
		})
		all = append(all, rows...)
		if parents, err = x.ids(ctx, rows); err != nil {
			return nil, false, err
		}
	}
	low, high := q.End, q.From
	if !q.Backward {
		low, high = q.From, q.End
	}
	all = slices.DeleteFunc(all, func(row store.Relation) bool {
		return row.Ord <= low || row.Ord >= high || q.RelType != "" && row.RelType != q.RelType || q.Type != "" && row.Type != q.Type
	})
	slices.SortFunc(all, func(a, b store.Relation) int {
		if q.Backward {
			a, b = b, a
		}
		return cmp.Compare(a.Ord, b.Ord)
	})
	return x.fill(ctx, nil, all, q)
}

// level reads the children of some events, the newest first.
func (x *Reader) level(ctx context.Context, parents []string) (rows []store.Relation, err error) {
	err = x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.Relations(tx, store.RelationQuery{Parents: parents, From: math.MaxInt64, End: math.MinInt64, Backward: true, Limit: maxTree})
		return err
	})
	return rows[:min(maxTree, len(rows))], err
}

func (x *Reader) ids(ctx context.Context, rows []store.Relation) ([]string, error) {
	nids := make([]int64, len(rows))
	for i, row := range rows {
		nids[i] = row.Event
	}
	var out []string
	err := x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.EventIDs(tx, nids)
		return err
	})
	return out, err
}

// Related keeps those of events that somebody in senders relates to in one of
// relTypes. Nil lists stand for anybody and any type
// (client-server-api/#filtering, related_by_senders and related_by_rel_types).
func (x *Reader) Related(ctx context.Context, events []*room.Event, senders, relTypes []string) ([]*room.Event, error) {
	if senders != nil && len(senders) == 0 || relTypes != nil && len(relTypes) == 0 || !x.Room.Current().Related {
		return nil, nil
	}
	has := map[string]bool{}
	err := x.Rooms.DB.Read(ctx, func(tx *db.Tx) error {
		for _, ev := range events {
			rows, err := store.Relations(tx, store.RelationQuery{
				Parents: []string{ev.ID}, RelTypes: relTypes, Senders: senders, From: math.MinInt64, End: math.MaxInt64, Limit: 1,
			})
			if err != nil {
				return err
			}
			has[ev.ID] = len(rows) > 0 && rows[0].Room == x.Room.NID
		}
		return nil
	})
	return slices.DeleteFunc(slices.Clone(events), func(ev *room.Event) bool { return !has[ev.ID] }), err
}
