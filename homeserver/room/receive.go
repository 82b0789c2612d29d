package room

import (
	"context"
	"errors"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/trie"
	"hearth/matrix/authrules"
	"hearth/matrix/mxerr"
	"hearth/matrix/pdu"
)

// rejected reports whether the event failed the authorization rules.
func (ev *Event) rejected() bool { return ev.Flags&store.Rejected != 0 }

// Receive takes an event that was made elsewhere, whose signatures and hash
// have been checked, and whose previous events are known here
// (server-server-api/#checks-performed-on-receipt-of-a-pdu). A refused event is
// stored too, marked as such: others may refer to it.
func (e *Engine) Receive(ctx context.Context, roomID string, p *pdu.Event) (ev *Event, err error) {
	err = retryMoved(func() error {
		ev, err = e.tryReceive(ctx, roomID, p)
		return err
	})
	return ev, err
}

func (e *Engine) tryReceive(ctx context.Context, roomID string, p *pdu.Event) (*Event, error) {
	r, err := e.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	lk, err := r.acquireQuiet(ctx)
	if err != nil {
		return nil, err
	}
	defer lk.release()
	if known, err := e.EventByID(ctx, p.ID); err == nil {
		return known, nil
	} else if mxerr.From(err).Code != mxerr.NotFound {
		return nil, err
	}
	in := &incoming{ev: &Event{Event: p}}
	if err := e.judge(ctx, lk, in); err != nil {
		return nil, err
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		c := newCommit(e, lk, &batch{events: []*Event{in.ev}}, tx)
		if err := c.storeIncoming(in); err != nil {
			return err
		}
		tx.AfterCommit(func() { c.publishIncoming(in) })
		return nil
	})
	if err != nil {
		return nil, e.checkMoved(ctx, lk.Room, err)
	}
	return in.ev, nil
}

// incoming is an event from elsewhere with what was found out about it.
type incoming struct {
	ev      *Event
	before  resolution // the state before it
	current resolution // the room's state with it; unused if it is refused
	heads   []*Event   // that stay heads beside it
}

func (e *Engine) judge(ctx context.Context, lk locked, in *incoming) error {
	p := in.ev.Event
	prev, err := e.eventsByID(ctx, lk.Room, p.PrevEvents)
	if err != nil {
		return err
	}
	if len(prev) != len(p.PrevEvents) || len(prev) == 0 {
		return mxerr.New(mxerr.NotFound, "The events before %s are not known here", p.ID)
	}
	auth, err := e.eventsByID(ctx, lk.Room, p.AuthEvents)
	if err != nil {
		return err
	}
	for _, a := range auth {
		in.ev.Auth = append(in.ev.Auth, a.NID)
	}
	forks := make([]fork, len(prev))
	for i, ev := range prev {
		forks[i] = fork{root: ev.StateAfter}
	}
	if in.before, err = e.resolve(ctx, lk.Room, forks); err != nil {
		return err
	}
	if err := e.judgeAuth(ctx, lk, in, auth); err != nil {
		return err
	}
	return e.judgeCurrent(ctx, lk, in)
}

// judgeAuth checks the event by its own auth events and by the state before it.
func (e *Engine) judgeAuth(ctx context.Context, lk locked, in *incoming, auth []*Event) error {
	p := in.ev.Event
	view := newView(ctx, e, lk.Room, lk.Current().State)
	create := view.auth("m.room.create", "")
	plain := make([]*pdu.Event, len(auth))
	bad := len(auth) != len(p.AuthEvents)
	for i, a := range auth {
		plain[i] = a.Event
		bad = bad || a.rejected()
	}
	before := e.viewOf(ctx, lk.Room, in.before)
	switch {
	case bad,
		authrules.CheckAuthEvents(p, plain) != nil,
		authrules.Check(p, authrules.FromAuthEvents(create, plain)) != nil,
		authrules.Check(p, before.auth) != nil:
		in.ev.Flags |= store.Rejected
	}
	return errors.Join(view.err, before.err)
}

// judgeCurrent checks the event by the current state, and finds the state that
// the room has with it.
func (e *Engine) judgeCurrent(ctx context.Context, lk locked, in *incoming) error {
	if in.ev.rejected() {
		return nil
	}
	now := newView(ctx, e, lk.Room, lk.Current().State)
	if authrules.Check(in.ev.Event, now.auth) != nil {
		in.ev.Flags |= store.SoftFailed
	}
	if now.err != nil || in.ev.Flags != 0 {
		return now.err
	}
	heads, err := e.Events(ctx, lk.Version, lk.Current().Heads)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if !slices.Contains(in.ev.PrevEvents, h.ID) {
			in.heads = append(in.heads, h)
		}
	}
	if len(in.heads) == 0 {
		return nil // the state after the event is the room's
	}
	forks := make([]fork, 0, len(in.heads)+1)
	for _, h := range in.heads {
		forks = append(forks, fork{root: h.StateAfter})
	}
	own, err := e.ownFork(ctx, in)
	if err != nil {
		return err
	}
	in.current, err = e.resolve(ctx, lk.Room, append(forks, own...))
	return err
}

// ownFork is the state after the event as resolve wants it. Where the state
// before it was resolved of several, and is not stored yet, each change stands
// as a fork of its own would.
func (e *Engine) ownFork(ctx context.Context, in *incoming) ([]fork, error) {
	f := fork{root: in.before.base}
	if len(in.before.changes) > 0 {
		root, err := e.storeResolved(ctx, in)
		if err != nil {
			return nil, err
		}
		f.root = root
		in.before = resolution{base: root}
	}
	if in.ev.StateKey != nil {
		sk, err := e.internNow(ctx, Key{in.ev.Type, *in.ev.StateKey})
		if err != nil {
			return nil, err
		}
		in.ev.SK, in.ev.NID = sk, provisional
		f.top = in.ev
	}
	return []fork{f}, nil
}

// storeResolved stores a resolved state ahead of the event that needs it. If
// the event is then not stored, some nodes are left over that nothing refers
// to.
func (e *Engine) storeResolved(ctx context.Context, in *incoming) (root int64, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		c := &commit{e: e, tx: tx, src: &txSource{tx: tx, cache: e.packs, fresh: map[int64]*trie.Nodes{}}, next: &Current{}}
		root, err = c.apply(in.before)
		return err
	})
	return root, err
}

// internNow gives a state key its number ahead of the event that needs it.
func (e *Engine) internNow(ctx context.Context, key Key) (sk int64, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		c := &commit{e: e, tx: tx, keys: map[Key]int64{}}
		sk, err = c.intern(key)
		if err == nil {
			tx.AfterCommit(func() { e.keys.put(key, sk) })
		}
		return err
	})
	return sk, err
}

// viewOf is a view of a resolved state that is not stored yet.
func (e *Engine) viewOf(ctx context.Context, r *Room, res resolution) *view {
	v := newView(ctx, e, r, res.base)
	nids := make([]int64, 0, len(res.changes))
	sks := make([]int64, 0, len(res.changes))
	for _, c := range res.changes {
		nids, sks = append(nids, c.Val), append(sks, c.Key)
	}
	names, err := e.KeyNames(ctx, sks)
	if err != nil {
		v.err = err
		return v
	}
	for i, sk := range sks {
		if nids[i] == 0 {
			v.gone[names[sk]] = true
			continue
		}
		ev, err := e.eventByNID(ctx, r.Version, nids[i])
		if err != nil {
			v.err = err
			return v
		}
		v.fresh[names[sk]] = ev
	}
	return v
}

func (e *Engine) eventsByID(ctx context.Context, r *Room, ids []string) ([]*Event, error) {
	var known map[string]int64
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		known, err = store.NIDsOf(tx, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	nids := make([]int64, 0, len(ids))
	for _, id := range ids {
		if nid := known[id]; nid != 0 {
			nids = append(nids, nid)
		}
	}
	events, err := e.Events(ctx, r.Version, nids)
	return slices.DeleteFunc(events, func(ev *Event) bool { return ev.Room != r.NID }), err
}

// apply stores the version that a resolution stands for.
func (c *commit) apply(res resolution) (int64, error) {
	root, packs, err := trie.Apply(c.src, res.base, res.changes, c.tx.NextPos)
	if err != nil {
		return 0, err
	}
	for _, p := range packs {
		if c.src.fresh[p.ID], err = trie.Decode(p); err != nil {
			return 0, err
		}
	}
	return root, store.InsertPacks(c.tx, c.next.NID, packs)
}

// storeIncoming stores an event from elsewhere and, unless it is refused, makes
// it a head of the room.
func (c *commit) storeIncoming(in *incoming) error {
	ev := in.ev
	err := c.place(ev)
	if err != nil {
		return err
	}
	if ev.State, err = c.apply(in.before); err != nil {
		return err
	}
	ev.StateAfter = ev.State
	if ev.StateKey != nil && !ev.rejected() {
		if ev.StateAfter, err = c.apply(resolution{ev.State, []trie.Entry{{Key: ev.SK, Val: ev.NID}}}); err != nil {
			return err
		}
	}
	ev.RoomBefore, ev.RoomAfter = c.next.State, c.next.State
	if ev.Flags != 0 {
		ev.Ord = 0 // not part of the timeline
		return store.InsertEvent(c.tx, ev.row())
	}
	old := c.next.State
	if c.next.State, err = c.currentWith(in); err != nil {
		return err
	}
	ev.RoomAfter = c.next.State
	if err := store.InsertEvent(c.tx, ev.row()); err != nil {
		return err
	}
	if err := c.relate(ev); err != nil {
		return err
	}
	if err := c.stick(ev); err != nil {
		return err
	}
	if err := c.follow(old, c.next.State, ev); err != nil {
		return err
	}
	return c.moveHeads(in)
}

// currentWith stores the room's state with the event.
func (c *commit) currentWith(in *incoming) (int64, error) {
	if len(in.heads) == 0 {
		return in.ev.StateAfter, nil
	}
	res := resolution{base: in.current.base, changes: slices.Clone(in.current.changes)}
	for i := range res.changes {
		if res.changes[i].Val == provisional {
			res.changes[i].Val = in.ev.NID
		}
	}
	return c.apply(res)
}

func (c *commit) moveHeads(in *incoming) error {
	c.next.Heads, c.next.HeadIDs, c.next.Depth = nil, nil, in.ev.Depth
	for _, h := range in.heads {
		c.next.Heads, c.next.HeadIDs = append(c.next.Heads, h.NID), append(c.next.HeadIDs, h.ID)
		c.next.Depth = max(c.next.Depth, h.Depth)
	}
	c.next.Heads, c.next.HeadIDs = append(c.next.Heads, in.ev.NID), append(c.next.HeadIDs, in.ev.ID)
	c.next.LastPos = in.ev.NID
	if err := store.UpdateRoom(c.tx, c.next.Room); err != nil {
		return err
	}
	c.next.RowVersion++
	return nil
}

// follow brings the tables of current state and memberships from one version
// of the state to another.
func (c *commit) follow(from, to int64, ev *Event) error {
	diff := map[int64]int64{}
	var nids []int64
	err := trie.Diff(c.src, from, to, func(sk, _, now int64) {
		diff[sk] = now
		if now != 0 {
			nids = append(nids, now)
		}
	})
	if err != nil {
		return err
	}
	rows, err := store.EventsByNID(c.tx, nids)
	if err != nil {
		return err
	}
	members := map[int64]*Event{}
	for _, row := range rows {
		e, err := parse(row, c.lk.Version)
		if err != nil {
			return err
		}
		members[e.NID] = e
	}
	for sk, nid := range diff {
		if err := store.SetCurrentState(c.tx, c.next.NID, sk, nid); err != nil {
			return err
		}
		if e := members[nid]; e != nil && e.Type == "m.room.member" {
			if err := c.followMember(e); err != nil {
				return err
			}
			c.changed = append(c.changed, e)
		}
	}
	return nil
}

func (c *commit) followMember(ev *Event) error {
	old, err := store.MemberOf(c.tx, c.next.NID, *ev.StateKey)
	if err != nil && !errors.Is(err, db.ErrNoRow) {
		return err
	}
	return c.setMember(memberChange{event: ev, from: old.Membership, to: store.ParseMembership(ev.Membership())})
}

// publishIncoming makes an event from elsewhere visible, and with it the
// memberships that a resolution brought back.
func (c *commit) publishIncoming(in *incoming) {
	if in.ev.Ord == 0 {
		c.e.events.put(in.ev)
		return
	}
	c.publish()
	for _, ev := range c.changed {
		if ev.NID == in.ev.NID {
			continue
		}
		for _, f := range c.e.observers {
			f(c.lk.Room, ev)
		}
	}
}
