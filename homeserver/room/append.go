package room

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"hearth/base/db"
	"hearth/base/store"
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
	// Sticky is for how long the event is shown to everybody who is in the room or
	// comes (MSC4354), in milliseconds; 0 for most.
	Sticky int64
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
		err := try()
		if errors.Is(err, errDropped) {
			attempt-- // there was no attempt
			continue
		}
		if !errors.Is(err, errMoved) || attempt == maxMoved {
			return err
		}
	}
}

// errMoved means that the live room did not agree with the store; it has been
// dropped and the next attempt loads it anew.
var errMoved = errors.New("the room was changed by another process")

// errDropped means that there was no longer room for the live room in memory. The
// next attempt loads it anew.
var errDropped = errors.New("the room was dropped from memory")

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
		PrevEvents: b.head, AuthEvents: authIDs, Depth: b.depth + 1, OriginServerTS: ts, Sticky: d.Sticky,
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

// DelayedDevice stands for the device in the transactions of events that were
// sent later (MSC4140); their ids are the transaction ids. No client can have a
// device of that name.
const DelayedDevice = "\x01delayed"

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
