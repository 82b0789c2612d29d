package room

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/trie"
	"hearth/matrix/authrules"
	"hearth/matrix/mxerr"
	"hearth/matrix/pdu"
)

// Draft is an event that a local user wants to send.
type Draft struct {
	Sender   string
	Type     string
	StateKey *string // nil for a message
	Content  json.RawMessage
	Redacts  string // target, for m.room.redaction

	// Device and TxnID identify the client's request: a repeated one returns
	// the event of the first. Empty TxnID means no transaction.
	Device string
	TxnID  string
	// Timestamp overrides the time, in milliseconds, for application services.
	Timestamp int64
}

// Send adds an event to a room and returns it once it is durable and visible
// to /sync. Refusals are *mxerr.Error: M_FORBIDDEN by the authorization rules,
// M_TOO_LARGE, M_BAD_JSON.
func (e *Engine) Send(ctx context.Context, roomID string, d Draft) (*Event, error) {
	if d.StateKey == nil && d.Type != "m.room.redaction" {
		return e.sendMessage(ctx, roomID, d)
	}
	events, err := e.sendAll(ctx, roomID, func(locked, *view) ([]Draft, error) { return []Draft{d}, nil })
	if err != nil {
		return nil, err
	}
	return events[len(events)-1], nil
}

// sendAll adds the events that plan asks for, in one transaction. plan runs
// with the room locked, so what it reads there still holds when its events are
// checked.
func (e *Engine) sendAll(ctx context.Context, roomID string, plan func(locked, *view) ([]Draft, error)) ([]*Event, error) {
	var events []*Event
	err := retryMoved(func() (err error) {
		events, err = e.trySend(ctx, roomID, plan)
		return err
	})
	return events, err
}

// maxMoved bounds how often an attempt is repeated on a room that moves.
const maxMoved = 10

func retryMoved(try func() error) error {
	for attempt := 0; ; attempt++ {
		if err := try(); !errors.Is(err, errMoved) || attempt == maxMoved {
			return err
		}
	}
}

// errMoved means that the live room did not agree with the store; it has been
// dropped and the next attempt loads it anew.
var errMoved = errors.New("the room was changed by another process")

func (e *Engine) trySend(ctx context.Context, roomID string, plan func(locked, *view) ([]Draft, error)) ([]*Event, error) {
	r, err := e.Room(ctx, roomID)
	if err != nil {
		return nil, err
	}
	lk, err := r.acquireQuiet(ctx)
	if err != nil {
		return nil, err
	}
	defer lk.release()
	v := newView(ctx, e, lk.Room, lk.Current().State)
	drafts, err := plan(lk, v)
	if err != nil || len(drafts) == 0 {
		return nil, err
	}
	if d := drafts[0]; d.TxnID != "" {
		if ev, err := e.sentBefore(ctx, r, d); err != nil || ev != nil {
			return []*Event{ev}, err
		}
	}
	b, err := e.prepare(ctx, lk, v, drafts)
	if err != nil {
		return nil, err
	}
	if err := e.commit(ctx, lk, b); err != nil {
		return nil, err
	}
	return b.events, nil
}

// batch is a row of events that follow each other in a room and are stored
// together.
type batch struct {
	events  []*Event
	members []memberChange
	redacts []redaction
	txnKey  []byte
	isNew   bool // the room itself is stored too
	also    []func(tx *db.Tx, room int64) error
	after   []string // the heads that the first event follows
	head    []string // the heads after the last
	depth   int64
}

// memberChange is what an m.room.member event does to the memberships.
type memberChange struct {
	event    *Event
	from, to store.Membership
}

type redaction struct {
	by     *Event
	target *Event
}

// prepare builds, signs and checks the drafts on top of view, the current state.
func (e *Engine) prepare(ctx context.Context, lk locked, view *view, drafts []Draft) (*batch, error) {
	cur := lk.Current()
	b := &batch{after: cur.HeadIDs, head: cur.HeadIDs, depth: cur.Depth}
	if t := lk.tip; t != nil {
		b.after, b.head, b.depth = t.head, t.head, t.depth
	}
	for _, d := range drafts {
		if err := e.prepareOne(ctx, lk, b, view, d); err != nil {
			return nil, err
		}
	}
	if d := drafts[0]; d.TxnID != "" {
		b.txnKey = txnKey(lk.ID, d)
	}
	return b, nil
}

func (e *Engine) prepareOne(ctx context.Context, lk locked, b *batch, view *view, d Draft) error {
	ts := d.Timestamp
	if ts == 0 {
		ts = now()
	}
	var target *Event
	if d.Type == "m.room.redaction" && d.StateKey == nil {
		var err error
		if target, err = e.redactable(ctx, lk.Room, view, d); err != nil {
			return err
		}
	}
	var authIDs []string
	var auth []int64
	for _, t := range authrules.Needed(lk.Version, d.Type, d.StateKey, d.Sender, d.Content) {
		if ev := view.event(t.Type, t.StateKey); ev != nil {
			authIDs = append(authIDs, ev.ID)
			auth = append(auth, ev.NID)
		}
	}
	p, err := pdu.Build(lk.Version, pdu.Draft{
		RoomID: lk.ID, Sender: d.Sender, Type: d.Type, StateKey: d.StateKey, Content: d.Content, Redacts: d.Redacts,
		PrevEvents: b.head, AuthEvents: authIDs, Depth: b.depth + 1, OriginServerTS: ts,
		Hash: e.referenceHash(ctx, b),
	}, e.Server, e.KeyID, e.Key)
	if err != nil {
		return err
	}
	if lk.ID == "" { // room version 12: the create event names the room
		lk.ID = p.RoomID
	}
	err = authrules.Check(p, view.auth)
	if view.err != nil {
		return view.err
	}
	if err != nil {
		return refusal(p, err)
	}
	ev := &Event{Event: p, Auth: auth, TxnDevice: d.Device, TxnID: d.TxnID}
	b.add(ev, view, target)
	return nil
}

// add puts a checked event at the end of the batch.
func (b *batch) add(ev *Event, view *view, target *Event) {
	if ev.Type == "m.room.member" && ev.StateKey != nil {
		b.members = append(b.members, memberChange{event: ev, from: view.membership(*ev.StateKey), to: store.ParseMembership(ev.Membership())})
	}
	if target != nil {
		b.redacts = append(b.redacts, redaction{by: ev, target: target})
	}
	view.set(ev)
	b.events = append(b.events, ev)
	b.head, b.depth = []string{ev.ID}, ev.Depth
}

// referenceHash finds the hashes that events of room versions 1 and 2 carry of
// those they refer to.
func (e *Engine) referenceHash(ctx context.Context, b *batch) func(string) string {
	return func(id string) string {
		for _, ev := range b.events {
			if ev.ID == id {
				return ev.ReferenceHash()
			}
		}
		ev, err := e.EventByID(ctx, id)
		if err != nil {
			return ""
		}
		return ev.ReferenceHash()
	}
}

// refusal turns a broken rule into a sentence for the sender.
func refusal(ev *pdu.Event, err error) error {
	return &mxerr.Error{Code: mxerr.Forbidden, Text: "You may not send this " + ev.Type + ": " + err.Error()}
}

// view is the state that the next event of a batch sees.
type view struct {
	ctx   context.Context
	e     *Engine
	room  *Room
	root  int64
	fresh map[Key]*Event // what differs from the version at root
	gone  map[Key]bool   // what is no longer there
	seen  map[Key]*Event // what was looked up at root, nil for nothing
	err   error          // the first failure of the store
}

func newView(ctx context.Context, e *Engine, r *Room, root int64) *view {
	return &view{ctx: ctx, e: e, room: r, root: root, fresh: map[Key]*Event{}, gone: map[Key]bool{}, seen: map[Key]*Event{}}
}

func (v *view) event(typ, stateKey string) *Event {
	if ev := v.fresh[Key{typ, stateKey}]; ev != nil {
		return ev
	}
	if v.gone[Key{typ, stateKey}] {
		return nil
	}
	if ev, ok := v.seen[Key{typ, stateKey}]; ok {
		return ev
	}
	ev, err := v.e.StateEvent(v.ctx, v.room, v.root, typ, stateKey)
	if err != nil && v.err == nil {
		v.err = err
	}
	v.seen[Key{typ, stateKey}] = ev
	return ev
}

// auth is the view as the authorization rules want it.
func (v *view) auth(typ, stateKey string) *pdu.Event {
	if ev := v.event(typ, stateKey); ev != nil {
		return ev.Event
	}
	return nil
}

func (v *view) set(ev *Event) {
	if ev.StateKey != nil {
		v.fresh[Key{ev.Type, *ev.StateKey}] = ev
	}
}

// membership is a user's membership in the view; None without an event.
func (v *view) membership(user string) store.Membership {
	if ev := v.event("m.room.member", user); ev != nil {
		return store.ParseMembership(ev.Membership())
	}
	return store.None
}

// txnKey identifies a client's request (client-server-api/#transaction-identifiers).
func txnKey(room string, d Draft) []byte {
	h := sha256.New()
	for _, s := range []string{d.Sender, d.Device, room, d.Type, d.TxnID} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return h.Sum(nil)[:16]
}

// sentBefore returns the event that the same request has made, or nil.
func (e *Engine) sentBefore(ctx context.Context, r *Room, d Draft) (*Event, error) {
	var nid int64
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		nid, err = store.Txn(tx, txnKey(r.ID, d))
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.eventByNID(ctx, r.Version, nid)
}

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
	return store.InsertEvent(c.tx, ev.row())
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
