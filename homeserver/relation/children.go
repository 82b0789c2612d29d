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

// Page is what a query found.
type Page struct {
	Events []*room.Event
	// More says that there may be more events, and Next from where: a place,
	// exclusive. There may be more even if nothing was found that the user sees.
	More bool
	Next int64
}

// Children returns up to q.Limit children that the user sees.
func (x *Reader) Children(ctx context.Context, q Query) (page Page, err error) {
	if q.Recurse {
		return x.tree(ctx, q)
	}
	for seen, most := 0, x.Bounds.rows(); seen < most; {
		n := min(max(q.Limit-len(page.Events)+1, 20), most-seen)
		rows, err := x.rows(ctx, q, []string{q.Parent}, n)
		if err != nil {
			return Page{}, err
		}
		if err := x.fill(ctx, &page, rows, q); err != nil || page.More || len(rows) < n {
			return page, err
		}
		q.From = rows[len(rows)-1].Ord
		seen += len(rows)
	}
	page.More, page.Next = true, q.From
	return page, nil
}

// fill adds those of rows that the user sees, until there is one too many.
func (x *Reader) fill(ctx context.Context, page *Page, rows []store.Relation, q Query) error {
	for len(rows) > 0 {
		part := rows[:min(len(rows), q.Limit+1)]
		rows = rows[len(part):]
		nids := make([]int64, len(part))
		for i, row := range part {
			nids[i] = row.Event
		}
		events, err := x.visible(ctx, nids)
		if err != nil {
			return err
		}
		for _, nid := range nids {
			ev := events[nid]
			if ev == nil {
				continue
			}
			if n := len(page.Events); n == q.Limit {
				page.More, page.Next = true, page.Events[n-1].Ord
				return nil
			}
			page.Events = append(page.Events, ev)
		}
	}
	return nil
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
	slices.SortStableFunc(rows, byPlace(q)) // they come in chunks of parents
	return rows[:min(n, len(rows))], err
}

// tree is Children with children of children. What matters of them is the
// filter; that of what they hang on does not.
//
// Of a very large tree it looks at the events that are nearest to where the page
// starts. What is far from what it hangs on may then be left out, but every child
// of the event itself comes with one page or another.
func (x *Reader) tree(ctx context.Context, q Query) (page Page, err error) {
	var all []store.Relation
	seen := map[int64]bool{}
	end := q.End // as far as everything was looked at
	parents := []string{q.Parent}
	for level := 0; level < Depth && len(parents) > 0; level++ {
		rows, upto, err := x.level(ctx, q, parents)
		if err != nil {
			return Page{}, err
		}
		if before(q, upto, end) {
			end = upto
		}
		rows = slices.DeleteFunc(rows, func(row store.Relation) bool {
			again := seen[row.Event]
			seen[row.Event] = true
			return again
		})
		all = append(all, rows...)
		if parents, err = x.ids(ctx, rows); err != nil {
			return Page{}, err
		}
	}
	all = slices.DeleteFunc(all, func(row store.Relation) bool {
		return !before(q, q.From, row.Ord) || before(q, end, row.Ord) || !before(q, row.Ord, q.End) ||
			q.RelType != "" && row.RelType != q.RelType || q.Type != "" && row.Type != q.Type
	})
	slices.SortFunc(all, byPlace(q))
	if err := x.fill(ctx, &page, all, q); err != nil || page.More || end == q.End {
		return page, err
	}
	page.More, page.Next = true, end
	return page, nil
}

// before reports whether a query comes to place a before it comes to b.
func before(q Query, a, b int64) bool {
	if q.Backward {
		return a > b
	}
	return a < b
}

func byPlace(q Query) func(a, b store.Relation) int {
	return func(a, b store.Relation) int {
		if q.Backward {
			a, b = b, a
		}
		return cmp.Compare(a.Ord, b.Ord)
	}
}

// level reads the children of some events, and reports up to which place it has
// them all: the end, or that of the last of the bound. Those behind the place from
// which the query asks are there for what hangs on them; events that hang on
// others are younger, so a query that goes back needs none.
func (x *Reader) level(ctx context.Context, q Query, parents []string) (rows []store.Relation, upto int64, err error) {
	most := x.Bounds.tree()
	q.RelType, q.Type = "", ""
	rows, upto, err = x.stretch(ctx, q, parents, most)
	if err != nil || q.Backward || q.From == math.MinInt64 {
		return rows, upto, err
	}
	back := q
	back.Backward, back.From, back.End = true, q.From+1, math.MinInt64
	behind, _, err := x.stretch(ctx, back, parents, most)
	return append(rows, behind...), upto, err
}

func (x *Reader) stretch(ctx context.Context, q Query, parents []string, most int) ([]store.Relation, int64, error) {
	rows, err := x.rows(ctx, q, parents, most)
	if err != nil || len(rows) < most {
		return rows, q.End, err
	}
	return rows, rows[most-1].Ord, nil
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
