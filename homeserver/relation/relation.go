// Package relation finds what events say of each other: the children of an
// event, the threads of a room, and the summary of both that is served with an
// event. It reads; package room writes relations with the events themselves.
package relation

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// Reader looks at the relations in one room for one user.
type Reader struct {
	Rooms   *room.Engine
	Room    *room.Room
	Viewer  *room.Viewer // nil for one who may see everything
	User    string
	Ignored map[string]bool // whose events do not count for the user
	Bounds  Bounds
}

// Bundle is what is served with an event of its children
// (client-server-api/#aggregations-of-child-events).
type Bundle struct {
	Replace    *room.Event // the newest valid edit
	Thread     *Thread     // of which the event is the root
	References []string    // ids of events that refer to it
}

// Thread sums up a thread (client-server-api/#server-side-aggregation-of-mthread-relationships).
type Thread struct {
	Latest       *room.Event
	Bundle       *Bundle // of Latest; nil for none
	Count        int64
	Participated bool
}

// Bounds are how much one lookup reads. The zero value stands for what is usual.
type Bounds struct {
	Rows    int // children looked at to fill a page
	Tree    int // events of each level of a tree
	Threads int // threads looked at to fill a page
	Edits   int // edits and references of a chunk of events, read at once
}

func (b Bounds) rows() int    { return cmp.Or(b.Rows, 2000) }
func (b Bounds) tree() int    { return cmp.Or(b.Tree, 10_000) }
func (b Bounds) threads() int { return cmp.Or(b.Threads, 1000) }
func (b Bounds) edits() int   { return cmp.Or(b.Edits, 1000) }

const (
	maxReferences = 100 // of one event
	maxLatest     = 50  // events of a thread, or edits of an event, to find one that may be seen
)

// Bundles returns the bundles of those events that have one, by number. Rooms
// without relations cost nothing.
func (x *Reader) Bundles(ctx context.Context, events []*room.Event) (map[int64]*Bundle, error) {
	if !x.Room.Current().Related {
		return nil, nil
	}
	return x.bundles(ctx, events, true)
}

func (x *Reader) bundles(ctx context.Context, events []*room.Event, threads bool) (map[int64]*Bundle, error) {
	parents := make(map[string]*room.Event, len(events))
	ids := make([]string, 0, len(events))
	for _, ev := range events {
		if ev.StateKey == nil && parents[ev.ID] == nil { // state has no bundles
			parents[ev.ID] = ev
			ids = append(ids, ev.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []store.Relation
	var roots []store.Thread
	err := x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if rows, err = x.editsAndReferences(tx, ids, parents); err == nil && threads {
			roots, err = store.ThreadsOf(tx, ids)
		}
		return err
	})
	if err != nil || len(rows) == 0 && len(roots) == 0 {
		return nil, err
	}
	out := map[int64]*Bundle{}
	if err := x.edits(ctx, out, parents, rows); err != nil {
		return nil, err
	}
	if err := x.references(ctx, out, parents, rows); err != nil {
		return nil, err
	}
	return out, x.threads(ctx, out, parents, roots)
}

// editsAndReferences reads them for all events at once, the newest first. If there
// are too many, it reads those of each event: else who edits one message very often
// would hide that others were edited.
func (x *Reader) editsAndReferences(tx *db.Tx, ids []string, parents map[string]*room.Event) ([]store.Relation, error) {
	most := x.Bounds.edits()
	newest := store.RelationQuery{From: math.MaxInt64, End: math.MinInt64, Backward: true}
	all := newest
	all.Parents, all.RelTypes, all.Limit = ids, []string{room.RelReplace, room.RelReference}, most
	rows, err := store.Relations(tx, all)
	if err != nil || len(rows) < most {
		return rows, err
	}
	rows = rows[:0]
	for _, id := range ids {
		q := newest
		q.Parents, q.RelTypes, q.Limit = []string{id}, []string{room.RelReplace}, maxLatest
		q.Senders, q.Type = []string{parents[id].Sender}, parents[id].Type
		edits, err := store.Relations(tx, q)
		if err != nil {
			return nil, err
		}
		references, err := store.Relations(tx, store.RelationQuery{
			Parents: q.Parents, RelTypes: []string{room.RelReference}, From: math.MinInt64, End: math.MaxInt64, Limit: maxReferences,
		})
		if err != nil {
			return nil, err
		}
		slices.Reverse(references)
		rows = append(append(rows, edits...), references...)
	}
	return rows, nil
}

func bundleOf(out map[int64]*Bundle, ev *room.Event) *Bundle {
	b := out[ev.NID]
	if b == nil {
		b = &Bundle{}
		out[ev.NID] = b
	}
	return b
}

// visible loads children, leaving out those that the user does not see.
func (x *Reader) visible(ctx context.Context, nids []int64) (map[int64]*room.Event, error) {
	events, err := x.Rooms.Events(ctx, x.Room.Version, nids)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*room.Event, len(events))
	for _, ev := range events {
		ok, err := x.sees(ev)
		if err != nil {
			return nil, err
		}
		if ok {
			out[ev.NID] = ev
		}
	}
	return out, nil
}

func (x *Reader) sees(ev *room.Event) (bool, error) {
	if ev.Room != x.Room.NID || x.Ignored[ev.Sender] && ev.StateKey == nil {
		return false, nil
	}
	if x.Viewer == nil {
		return true, nil
	}
	return x.Viewer.CanSee(ev)
}

// edits finds the newest valid edit of each parent
// (client-server-api/#validity-of-replacement-events).
func (x *Reader) edits(ctx context.Context, out map[int64]*Bundle, parents map[string]*room.Event, rows []store.Relation) error {
	var nids []int64
	for _, row := range rows {
		p := parents[row.Parent]
		if row.RelType == room.RelReplace && editable(p) && row.Sender == p.Sender && row.Type == p.Type {
			nids = append(nids, row.Event)
		}
	}
	if len(nids) == 0 {
		return nil
	}
	events, err := x.visible(ctx, nids)
	if err != nil {
		return err
	}
	for _, row := range rows {
		ev := events[row.Event]
		if row.RelType != room.RelReplace || ev == nil || !valid(ev) {
			continue
		}
		if b := bundleOf(out, parents[row.Parent]); b.Replace == nil || newer(ev, b.Replace) {
			b.Replace = ev
		}
	}
	return nil
}

// editable reports whether edits of an event count: it is no edit itself and
// was not redacted.
func editable(ev *room.Event) bool {
	rel, ok := ev.Relation()
	return ev.RedactedBy == 0 && !(ok && rel.RelType == room.RelReplace)
}

// valid looks for the new content, which an encrypted event hides.
func valid(ev *room.Event) bool {
	_, ok := ev.Get("m.new_content")
	return ok || ev.Type == "m.room.encrypted"
}

func newer(a, b *room.Event) bool {
	if a.OriginServerTS != b.OriginServerTS {
		return a.OriginServerTS > b.OriginServerTS
	}
	return a.ID > b.ID
}

// references lists the events that refer to each parent, the oldest first.
func (x *Reader) references(ctx context.Context, out map[int64]*Bundle, parents map[string]*room.Event, rows []store.Relation) error {
	var nids []int64
	for _, row := range rows {
		if row.RelType == room.RelReference {
			nids = append(nids, row.Event)
		}
	}
	if len(nids) == 0 {
		return nil
	}
	events, err := x.visible(ctx, nids)
	if err != nil {
		return err
	}
	for _, row := range slices.Backward(rows) {
		if ev := events[row.Event]; ev != nil && row.RelType == room.RelReference {
			if b := bundleOf(out, parents[row.Parent]); len(b.References) < maxReferences {
				b.References = append(b.References, ev.ID)
			}
		}
	}
	return nil
}

// threads sums up the threads that begin at some of parents.
func (x *Reader) threads(ctx context.Context, out map[int64]*Bundle, parents map[string]*room.Event, roots []store.Thread) error {
	roots = slices.DeleteFunc(roots, func(t store.Thread) bool {
		_, child := parents[t.Root].Relation()
		return child // a thread cannot start there
	})
	if len(roots) == 0 {
		return nil
	}
	ids := make([]string, len(roots))
	for i, t := range roots {
		ids[i] = t.Root
	}
	var mine, others map[string]int64
	newest := map[string][]store.Relation{}
	err := x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if mine, err = store.SendersIn(tx, ids, []string{x.User}); err != nil {
			return err
		}
		if others, err = store.SendersIn(tx, ids, x.ignoredList()); err != nil {
			return err
		}
		for _, t := range roots {
			if newest[t.Root], err = x.newestIn(tx, t.Root, 1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range roots {
		root := parents[t.Root]
		latest, err := x.latest(ctx, newest[t.Root])
		if err == nil && latest == nil && t.Events > 1 {
			latest, err = x.latestSeen(ctx, t.Root)
		}
		if err != nil {
			return err
		}
		if latest == nil {
			continue
		}
		bundleOf(out, root).Thread = &Thread{
			Latest: latest, Count: t.Events - others[t.Root], Participated: root.Sender == x.User || mine[t.Root] > 0,
		}
	}
	return x.nested(ctx, out)
}

// maxIgnored bounds the people who are left out of the counts of threads.
const maxIgnored = 100

func (x *Reader) ignoredList() []string {
	list := slices.Sorted(maps.Keys(x.Ignored))
	return list[:min(len(list), maxIgnored)]
}

func (x *Reader) newestIn(tx *db.Tx, root string, n int) ([]store.Relation, error) {
	return store.Relations(tx, store.RelationQuery{
		Parents: []string{root}, RelTypes: []string{room.RelThread}, NotSenders: x.ignoredList(),
		From: math.MaxInt64, End: math.MinInt64, Backward: true, Limit: n,
	})
}

// latestSeen looks further back for an event of a thread that the user sees.
func (x *Reader) latestSeen(ctx context.Context, root string) (*room.Event, error) {
	var rows []store.Relation
	err := x.Rooms.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = x.newestIn(tx, root, maxLatest)
		return err
	})
	if err != nil {
		return nil, err
	}
	return x.latest(ctx, rows)
}

// latest is the first of rows that the user sees.
func (x *Reader) latest(ctx context.Context, rows []store.Relation) (*room.Event, error) {
	for _, row := range rows {
		if x.Ignored[row.Sender] {
			continue
		}
		events, err := x.visible(ctx, []int64{row.Event})
		if err != nil {
			return nil, err
		}
		if ev := events[row.Event]; ev != nil {
			return ev, nil
		}
	}
	return nil, nil
}

// nested finds the bundles of the newest events of threads. These are no roots:
// that ends it.
func (x *Reader) nested(ctx context.Context, out map[int64]*Bundle) error {
	var latest []*room.Event
	for _, b := range out {
		if b.Thread != nil {
			latest = append(latest, b.Thread.Latest)
		}
	}
	inner, err := x.bundles(ctx, latest, false)
	for _, b := range out {
		if b.Thread != nil {
			b.Thread.Bundle = inner[b.Thread.Latest.NID]
		}
	}
	return err
}
