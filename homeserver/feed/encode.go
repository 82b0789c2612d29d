package feed

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/base/store"
	"hearth/homeserver/relation"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// EncodeOptions is what the unsigned part of an event says to one client
// (client-server-api/#definition-clientevent_unsigneddata).
type EncodeOptions struct {
	Now        int64       // milliseconds since 1970, for the age
	Membership string      // the client's user at the time of the event; "" leaves it out
	TxnID      string      // only for the device that sent the event
	DelayID    string      // only for the sender of a delayed event
	Replaces   *room.Event // the state event before it, nil if none
	HidePrev   bool        // the user may not see what Replaces says, only that it was there
	Because    *room.Event // the redaction that emptied the event, nil if none
	Relations  []byte      // JSON of the bundled aggregations, nil for none
	// InviteState is a JSON array of what the invited may know of the room, nil
	// for what is not an invite.
	InviteState []byte
	// Raw shows the event as other servers see it, with what they check it by.
	Raw bool
}

// AppendEvent appends an event as one client sees it.
func AppendEvent(dst []byte, ev *room.Event, o EncodeOptions) []byte {
	if o.Raw {
		dst = append(dst, ev.JSON[:len(ev.JSON)-1]...)
	} else {
		dst = append(dst, ev.Client()...)
	}
	dst = append(dst, `,"unsigned":{"age":`...)
	dst = appendAge(dst, ev, o.Now)
	if left := ev.StickyUntil(o.Now) - o.Now; ev.Sticky > 0 && left > 0 {
		dst = append(dst, `,"msc4354_sticky_duration_ttl_ms":`...)
		dst = strconv.AppendInt(dst, left, 10)
	}
	if o.Membership != "" {
		dst = append(dst, `,"membership":"`...)
		dst = append(dst, o.Membership...)
		dst = append(dst, '"')
	}
	if o.TxnID != "" {
		dst = append(dst, `,"transaction_id":`...)
		dst = canonjson.Quote(dst, o.TxnID)
	}
	if o.DelayID != "" {
		dst = append(dst, `,"org.matrix.msc4140.delay_id":`...)
		dst = canonjson.Quote(dst, o.DelayID)
	}
	if p := o.Replaces; p != nil {
		if !o.HidePrev {
			dst = append(dst, `,"prev_content":`...)
			dst = append(dst, p.Content...)
		}
		dst = append(dst, `,"prev_sender":`...)
		dst = canonjson.Quote(dst, p.Sender)
		dst = append(dst, `,"replaces_state":`...)
		dst = canonjson.Quote(dst, p.ID)
	}
	if o.InviteState != nil {
		dst = append(dst, `,"invite_room_state":`...)
		dst = append(dst, o.InviteState...)
	}
	if o.Relations != nil {
		dst = append(dst, `,"m.relations":`...)
		dst = append(dst, o.Relations...)
	}
	if r := o.Because; r != nil {
		dst = append(dst, `,"redacted_because":`...)
		dst = append(dst, r.Client()...)
		dst = append(dst, `,"unsigned":{"age":`...)
		dst = appendAge(dst, r, o.Now)
		dst = append(dst, `}}`...)
	}
	return append(dst, `}}`...)
}

// appendAge appends the milliseconds since an event was made. An event from a
// clock ahead of ours is new, not yet to come.
func appendAge(dst []byte, ev *room.Event, now int64) []byte {
	return strconv.AppendInt(dst, max(now-ev.OriginServerTS, 0), 10)
}

// Encoder writes events for one request. It looks up what their unsigned parts
// say: state that was replaced, redactions, the user's membership.
type Encoder struct {
	e      *room.Engine
	user   string
	device string
	now    int64

	bundle  bool // with aggregations
	ignored map[string]bool
	raw     bool   // as other servers see them
	fields  fields // nil for all
}

// NewEncoder returns an Encoder for a request of user's device. Without a
// device, no transaction ids are shown.
func NewEncoder(e *room.Engine, user, device string) *Encoder {
	return &Encoder{e: e, user: user, device: device, now: time.Now().UnixMilli()}
}

// AppendArray appends events of room r as a JSON array. v decides which
// replaced state the user may see, and says what the user's membership was at
// each event; with nil neither is told.
func (x *Encoder) AppendArray(ctx context.Context, dst []byte, r *room.Room, v *room.Viewer, events []*room.Event) ([]byte, error) {
	dst = append(dst, '[')
	start := len(dst)
	dst = slices.Grow(dst, roomFor(events))
	sides, err := x.lookUp(ctx, r, v, events)
	if err != nil {
		return dst, err
	}
	for i, ev := range events {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		var s beside
		if sides != nil {
			s = sides[i]
		}
		if dst, err = x.append(dst, v, ev, s); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// roomFor is about how long events are as JSON, with some room for what an answer
// says beside them: to make it longer bit by bit costs twice the memory.
func roomFor(events []*room.Event) int {
	const unsigned, rest = 80, 512
	n := rest
	for _, ev := range events {
		n += len(ev.Client()) + unsigned
	}
	return n
}

// AppendState appends a state, or what changed of it, as a JSON array. Of what
// the events replaced and what the user's membership was then it says nothing:
// for a room with many members that would mean to look into as many versions
// of its state.
func (x *Encoder) AppendState(ctx context.Context, dst []byte, r *room.Room, events []*room.Event) ([]byte, error) {
	dst = append(dst, '[')
	start := len(dst)
	because, err := x.redactions(ctx, r, events)
	if err != nil {
		return dst, err
	}
	for _, ev := range events {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		o := EncodeOptions{Now: x.now, Because: because[ev.RedactedBy], Raw: x.raw}
		x.sign(&o, ev)
		dst = x.write(dst, ev, o)
	}
	return append(dst, ']'), nil
}

// redactions finds the redactions of events by their numbers.
func (x *Encoder) redactions(ctx context.Context, r *room.Room, events []*room.Event) (map[int64]*room.Event, error) {
	var nids []int64
	for _, ev := range events {
		if ev.RedactedBy != 0 {
			nids = append(nids, ev.RedactedBy)
		}
	}
	if len(nids) == 0 {
		return nil, nil
	}
	return x.byNID(ctx, r, nids)
}

func (x *Encoder) byNID(ctx context.Context, r *room.Room, nids []int64) (map[int64]*room.Event, error) {
	found, err := x.e.Events(ctx, r.Version, nids)
	if err != nil {
		return nil, err
	}
	out := make(map[int64]*room.Event, len(found))
	for _, ev := range found {
		out[ev.NID] = ev
	}
	return out, nil
}

// sign tells the client which of its requests made ev, if it was one of its own.
func (x *Encoder) sign(o *EncodeOptions, ev *room.Event) {
	switch {
	case ev.TxnID == "" || ev.Sender != x.user:
	case ev.TxnDevice == x.device:
		o.TxnID = ev.TxnID
	case ev.TxnDevice == room.DelayedDevice:
		o.DelayID = ev.TxnID
	}
}

// Append appends one event of room r.
func (x *Encoder) Append(ctx context.Context, dst []byte, r *room.Room, v *room.Viewer, ev *room.Event) ([]byte, error) {
	sides, err := x.lookUp(ctx, r, v, []*room.Event{ev})
	if err != nil {
		return dst, err
	}
	var s beside
	if sides != nil {
		s = sides[0]
	}
	return x.append(dst, v, ev, s)
}

func (x *Encoder) append(dst []byte, v *room.Viewer, ev *room.Event, s beside) ([]byte, error) {
	o := EncodeOptions{Now: x.now, Replaces: s.replaces, Because: s.because, HidePrev: true, Raw: x.raw}
	x.sign(&o, ev)
	if v == nil {
		return x.write(dst, ev, o), nil
	}
	if s.bundle != nil {
		var err error
		if o.Relations, err = x.relations(v, s.bundle); err != nil {
			return dst, err
		}
	}
	m, err := v.MembershipAt(ev)
	if err != nil {
		return dst, err
	}
	o.Membership = m.String()
	shown, err := v.Shown(ev)
	if err != nil {
		return dst, err
	}
	if s.replaces != nil && shown == ev {
		see, err := v.CanSee(s.replaces)
		if err != nil {
			return dst, err
		}
		o.HidePrev = !see
	}
	return x.write(dst, shown, o), nil
}

// write appends an event, or of it what the client wants.
func (x *Encoder) write(dst []byte, ev *room.Event, o EncodeOptions) []byte {
	start := len(dst)
	dst = AppendEvent(dst, ev, o)
	if x.fields == nil {
		return dst
	}
	some := x.fields.of(dst[start:])
	if some == nil {
		some = []byte("{}")
	}
	return append(dst[:start], some...)
}

// beside is what the unsigned part of an event refers to.
type beside struct {
	replaces, because *room.Event
	bundle            *relation.Bundle
}

// lookUp finds what stands beside each of events. Most pages have nothing
// there, and get nil.
func (x *Encoder) lookUp(ctx context.Context, r *room.Room, v *room.Viewer, events []*room.Event) ([]beside, error) {
	bundles, err := x.bundles(ctx, r, v, events)
	if err != nil {
		return nil, err
	}
	var nids, before []int64
	for i, ev := range events {
		if ev.RedactedBy != 0 {
			nids = append(nids, ev.RedactedBy)
		}
		if ev.SK == 0 {
			continue
		}
		nid, err := x.replaced(ctx, ev)
		if err != nil {
			return nil, err
		}
		if nid != 0 {
			if before == nil {
				before = make([]int64, len(events))
			}
			before[i] = nid
			nids = append(nids, nid)
		}
	}
	if len(nids) == 0 && len(bundles) == 0 {
		return nil, nil
	}
	byNID, err := x.byNID(ctx, r, nids)
	if err != nil {
		return nil, err
	}
	out := make([]beside, len(events))
	for i, ev := range events {
		out[i].because, out[i].bundle = byNID[ev.RedactedBy], bundles[ev.NID]
		if before != nil {
			out[i].replaces = byNID[before[i]]
		}
	}
	return out, nil
}

// replaced is the number of the state event before ev, or 0. The event
// remembers it, but not what that event says: a redaction may take it away.
func (x *Encoder) replaced(ctx context.Context, ev *room.Event) (int64, error) {
	memo, ok := ev.Memo(unknownNID).(*atomic.Int64)
	if ok {
		if nid := memo.Load(); nid >= 0 {
			return nid, nil
		}
	}
	nid, err := x.e.Replaced(ctx, ev)
	if err == nil && ok {
		memo.Store(nid)
	}
	return nid, err
}

func unknownNID() any {
	n := new(atomic.Int64)
	n.Store(-1)
	return n
}

// stripped lists the state that tells a person what room this is
// (client-server-api/#stripped-state).
var stripped = []string{
	"m.room.create", "m.room.join_rules", "m.room.canonical_alias", "m.room.avatar", "m.room.name", "m.room.encryption", "m.room.topic",
}

// StrippedState returns a JSON array of what forUser, who is invited or has
// knocked, may know of a room whose state is at root: what room it is, the
// user's own member event, and that of who sent it.
func StrippedState(ctx context.Context, e *room.Engine, r *room.Room, root int64, forUser string) ([]byte, error) {
	out := []byte{'['}
	add := func(typ, key string) (*room.Event, error) {
		ev, err := e.StateEvent(ctx, r, root, typ, key)
		if err != nil || ev == nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = AppendStripped(out, ev)
		return ev, nil
	}
	for _, typ := range stripped {
		if _, err := add(typ, ""); err != nil {
			return nil, err
		}
	}
	own, err := add("m.room.member", forUser)
	if err != nil {
		return nil, err
	}
	if own != nil && own.Sender != forUser {
		if _, err := add("m.room.member", own.Sender); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// AppendStripped appends a state event with its content, sender, state key and
// type only.
func AppendStripped(dst []byte, ev *room.Event) []byte {
	dst = append(dst, `{"content":`...)
	dst = append(dst, ev.Content...)
	dst = append(dst, `,"sender":`...)
	dst = canonjson.Quote(dst, ev.Sender)
	dst = append(dst, `,"state_key":`...)
	key := ""
	if ev.StateKey != nil {
		key = *ev.StateKey
	}
	dst = canonjson.Quote(dst, key)
	dst = append(dst, `,"type":`...)
	dst = canonjson.Quote(dst, ev.Type)
	return append(dst, '}')
}

// appendAccountData appends account data as a JSON array of events.
func appendAccountData(dst []byte, data []store.AccountData) []byte {
	dst = append(dst, '[')
	for i, d := range data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"content":`...)
		dst = append(dst, d.Content...)
		dst = append(dst, `,"type":`...)
		dst = canonjson.Quote(dst, d.Type)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendTyping appends an m.typing event (client-server-api/#mtyping).
func appendTyping(dst []byte, users []string) []byte {
	dst = append(dst, `{"content":{"user_ids":`...)
	dst = appendStrings(dst, users)
	return append(dst, `},"type":"m.typing"}`...)
}

// hidden reports whether ev is nothing for somebody who ignores its sender.
// State still counts: rooms would look broken without.
func hidden(ignored map[string]bool, ev *room.Event) bool {
	return ev.StateKey == nil && ignored[ev.Sender]
}
