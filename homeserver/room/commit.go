package room

import (
	"context"
	"errors"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/trie"
)

// commit stores a batch with all its consequences in one transaction, and then
// makes it visible.
func (e *Engine) commit(ctx context.Context, lk locked, b *batch) error {
	var c *commit
	err := e.DB.Write(ctx, func(tx *db.Tx) error {
		c = newCommit(e, lk, b, tx)
		if err := c.store(); err != nil {
			return err
		}
		tx.AfterCommit(c.publish)
		return nil
	})
	if err != nil {
		// Another process may have written the room, or the answer to our
		// commit was lost: what we remember can no longer be trusted.
		return e.commitFailed(ctx, lk.Room, b, err)
	}
	return nil
}

func (e *Engine) commitFailed(ctx context.Context, r *Room, b *batch, err error) error {
	if b.isNew || errors.Is(err, context.Canceled) || errors.Is(err, db.ErrFull) || errors.Is(err, errMoved) {
		return err
	}
	return e.checkMoved(ctx, r, err)
}

// checkMoved tells a commit that another process overtook from one that failed
// for a reason of its own.
func (e *Engine) checkMoved(ctx context.Context, r *Room, cause error) error {
	e.forget(r)
	var row store.Room
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.RoomByNID(tx, r.NID)
		return err
	})
	if err == nil && row.RowVersion != r.Current().RowVersion {
		return errMoved
	}
	return cause
}

// commit is one attempt to store a batch.
type commit struct {
	e    *Engine
	lk   locked
	b    *batch
	tx   *db.Tx
	src  *txSource
	next *Current
	keys map[Key]int64 // numbers given in this transaction
	done []*Event      // new forms of events that were redacted
	// changed are member events that a resolution made current.
	changed []*Event
}

func newCommit(e *Engine, lk locked, b *batch, tx *db.Tx) *commit {
	c := &commit{e: e, lk: lk, b: b, tx: tx, keys: map[Key]int64{}}
	c.src = &txSource{tx: tx, cache: e.packs, fresh: map[int64]*trie.Nodes{}}
	next := *lk.staged.current(tx, lk.Room)
	next.RoomID = lk.ID
	c.next = &next
	return c
}

func (c *commit) store() error {
	if !slices.Equal(c.next.HeadIDs, c.b.after) {
		return errMoved // an event that this one follows was not stored
	}
	if c.b.isNew {
		c.next.NID = c.tx.NextPos()
	}
	nids := map[string]int64{} // of events in this batch, for auth lists
	for _, ev := range c.b.events {
		if err := c.storeEvent(ev, nids); err != nil {
			return err
		}
	}
	for _, r := range c.b.redacts {
		if err := c.storeRedaction(r); err != nil {
			return err
		}
	}
	last := c.b.events[len(c.b.events)-1]
	if c.b.txnKey != nil {
		if err := store.SetTxn(c.tx, c.b.txnKey, last.NID, now()); err != nil {
			return err
		}
	}
	for _, f := range c.b.also {
		if err := f(c.tx, c.next.NID); err != nil {
			return err
		}
	}
	c.next.HeadIDs, c.next.Depth = c.b.head, c.b.depth
	c.next.Heads = []int64{last.NID}
	c.next.LastPos = last.NID
	if c.b.isNew {
		c.next.RowVersion = 1
		return store.InsertRoom(c.tx, c.next.Room)
	}
	if err := store.UpdateRoom(c.tx, c.next.Room); err != nil {
		return err
	}
	c.next.RowVersion++
	c.lk.staged = staged{c.tx, c.next}
	return nil
}

// place gives an event its numbers: that of its state key, its own, and its
// place in the timeline.
func (c *commit) place(ev *Event) error {
	if ev.StateKey != nil {
		sk, err := c.intern(Key{ev.Type, *ev.StateKey})
		if err != nil {
			return err
		}
		ev.SK = sk
	}
	ev.NID = c.tx.NextPos()
	ev.Ord, ev.Room = ev.NID, c.next.NID
	return nil
}

// storeEvent gives an event its place and stores it with the state it makes.
func (c *commit) storeEvent(ev *Event, nids map[string]int64) error {
	if err := c.place(ev); err != nil {
		return err
	}
	nids[ev.ID] = ev.NID
	for i, id := range ev.AuthEvents {
		if nid := nids[id]; nid != 0 {
			ev.Auth[i] = nid
		}
	}
	ev.State, ev.StateAfter = c.next.State, c.next.State
	if ev.StateKey != nil {
		if err := c.setState(ev.SK, ev.NID); err != nil {
			return err
		}
		ev.StateAfter = c.next.State
	}
	ev.RoomBefore, ev.RoomAfter = ev.State, ev.StateAfter
	for _, m := range c.b.members {
		if m.event == ev {
			if err := c.setMember(m); err != nil {
				return err
			}
		}
	}
	if err := c.refuseSecond(ev); err != nil {
		return err
	}
	if err := c.relate(ev); err != nil {
		return err
	}
	if err := c.stick(ev); err != nil {
		return err
	}
	return store.InsertEvent(c.tx, ev.row())
}

// MaxSticky and MaxStickyOfUser bound the events of a room, and those of one
// sender there, that are sticky at a time. The oldest give way: what clients keep
// by sticky events, later ones replace.
const (
	MaxSticky       = 2000
	MaxStickyOfUser = 200
)

// stick remembers an event that is sticky.
func (c *commit) stick(ev *Event) error {
	at := now()
	until := ev.StickyUntil(at)
	if ev.Sticky <= 0 || until <= at {
		return nil
	}
	s := store.StickyEvent{NID: ev.NID, Room: ev.Room, User: ev.Sender, Until: until}
	return store.InsertStickyEvent(c.tx, s, MaxSticky, MaxStickyOfUser)
}

// setState makes a new version of the state in which event holds sk.
func (c *commit) setState(sk, event int64) error {
	root, err := c.apply(resolution{c.next.State, []trie.Entry{{Key: sk, Val: event}}})
	if err != nil {
		return err
	}
	c.next.State = root
	return store.SetCurrentState(c.tx, c.next.NID, sk, event)
}

func (c *commit) setMember(m memberChange) error {
	c.next.Joined += count(m.to == store.Join) - count(m.from == store.Join)
	c.next.Invited += count(m.to == store.Invite) - count(m.from == store.Invite)
	return store.SetMember(c.tx, store.Member{User: *m.event.StateKey, Room: c.next.NID, Membership: m.to, Event: m.event.NID})
}

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// intern returns the number of a state key, giving it one if it is new.
func (c *commit) intern(key Key) (int64, error) {
	if nid := c.e.keys.nid(key); nid != 0 {
		return nid, nil
	}
	if nid := c.keys[key]; nid != 0 {
		return nid, nil
	}
	nid, err := store.FindStateKey(c.tx, key.Type, key.StateKey)
	if err != nil {
		return 0, err
	}
	if nid == 0 {
		nid = c.tx.NextPos()
		if err := store.InsertStateKey(c.tx, store.StateKey{NID: nid, Type: key.Type, StateKey: key.StateKey}); err != nil {
			return 0, err
		}
	}
	c.keys[key] = nid
	return nid, nil
}

// publish makes the stored batch visible: to readers of the live room, then to
// those who observe, then to those who wait.
func (c *commit) publish() {
	for key, nid := range c.keys {
		c.e.keys.put(key, nid)
	}
	for id, nodes := range c.src.fresh {
		c.e.packs.put(id, nodes)
	}
	for _, ev := range c.done {
		c.e.replace(c.lk.Room, ev)
	}
	if c.b.isNew {
		c.lk.NID = c.next.NID
		c.lk.Room.head = c.e.Head(c.lk.NID)
		c.e.register(c.lk.Room)
	}
	for _, ev := range c.b.events {
		c.e.events.put(ev)
		c.lk.recent.add(ev)
	}
	c.lk.set(c.next)
	for _, ev := range c.b.events {
		for _, f := range c.e.observers {
			f(c.lk.Room, ev)
		}
	}
	c.e.Hub.Room(c.next.NID)
}
