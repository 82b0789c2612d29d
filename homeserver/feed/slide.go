package feed

import (
	"context"
	"slices"
	"strconv"
	"time"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Slide answers a request of simplified sliding sync (MSC4186): the rooms that
// the request's lists and subscriptions match, and of each what the connection
// has not been told. Like Sync it answers at once if there is anything, else
// when something comes or the timeout is over.
//
// Errors: M_INVALID_PARAM, M_BAD_JSON and M_MISSING_PARAM for a request that
// makes no sense, M_UNKNOWN_POS for a connection that is not, or no longer,
// known here.
func (f *Feed) Slide(ctx context.Context, req SlideRequest) ([]byte, error) {
	body, p, err := f.BeginSlide(ctx, req)
	if p != nil {
		return p.Wait(ctx)
	}
	return body, err
}

// BeginSlide is Slide that returns a Pending if there is nothing to tell yet.
func (f *Feed) BeginSlide(ctx context.Context, req SlideRequest) ([]byte, *Pending, error) {
	ask, err := req.compile()
	if err != nil {
		return nil, nil, err
	}
	u, err := f.user(ctx, req.User)
	if err != nil {
		return nil, nil, err
	}
	c, hurry, err := f.slides.enter(ctx, deviceKey{req.User, req.Device}, req.ConnID, req.Pos)
	if err != nil {
		return nil, nil, err
	}
	sent := u.sentTo(req.Device, false)
	woken, cancel := u.listener.WaitFor(req.Device)
	end := func() {
		cancel()
		c.leave()
	}
	wait := time.Duration(0)
	if req.Pos != "" && req.Timeout > 0 {
		wait = min(time.Duration(min(req.Timeout, maxTimeout.Milliseconds()))*time.Millisecond, maxTimeout)
	}
	look := func(ctx context.Context, last bool) ([]byte, bool, error) {
		b := f.newSlide(ctx, u, c, ask, &req)
		if err := b.response(); err != nil {
			return nil, false, err
		}
		if b.some {
			sent.answered.Store(time.Now().UnixNano())
		} else if !last {
			return nil, false, nil
		}
		f.slides.settle(c, b.next)
		return b.out, true, nil
	}
	since := c.base.at
	p := &Pending{
		look: look, calm: func() time.Duration { return f.calm(sent, since) },
		woken: woken, quit: f.quit, until: time.Now().Add(wait), end: end,
		// The client asks again, which ends this request: it must not process the
		// answer, so the answer says nothing.
		hurry: hurry, void: func() []byte { return idle(req.Pos) },
	}
	if wait > 0 {
		return p.begin(ctx)
	}
	defer end()
	body, _, err := look(ctx, true)
	return body, nil, err
}

// idle is the answer that changes nothing for the client.
func idle(pos string) []byte {
	out := canonjson.Quote([]byte(`{"pos":`), pos)
	return append(out, `,"lists":{},"rooms":{},"extensions":{}}`...)
}

// slide makes one response of sliding sync.
type slide struct {
	f    *Feed
	ctx  context.Context
	u    *user
	c    *slideConn
	ask  *slideAsk
	req  *SlideRequest
	now  Token
	next *slideStep // what the connection knows after this response

	own     *ownData
	ignored map[string]bool
	enc     *Encoder
	matches []match
	byRoom  map[int64]int // index in matches
	told    map[int64]*slideTold
	// interest are the rooms that a rule matches, also outside of its ranges; nil
	// if nobody wants to know.
	interest map[int64]bool
	some     bool // there is anything to tell
	out      []byte
}

// slideTold is what this response told of a room, for the extensions.
type slideTold struct {
	first bool  // the client starts anew with the room
	place int64 // where the timeline starts

	events []*room.Event // of the timeline
}

func (f *Feed) newSlide(ctx context.Context, u *user, c *slideConn, ask *slideAsk, req *SlideRequest) *slide {
	now := f.now()
	return &slide{
		f: f, ctx: ctx, u: u, c: c, ask: ask, req: req, now: now, next: c.step(now),
		enc: NewEncoder(f.Rooms, u.id, req.Device), told: map[int64]*slideTold{},
	}
}

// fresh reports whether the connection starts with this response.
func (b *slide) fresh() bool { return b.req.Pos == "" }

func (b *slide) response() error {
	if err := b.readOwn(); err != nil {
		return err
	}
	b.some = b.fresh()
	b.out = append(b.out, `{"pos":`...)
	b.out = canonjson.Quote(b.out, b.next.pos)
	if b.req.TxnID != "" {
		b.out = append(b.out, `,"txn_id":`...)
		b.out = canonjson.Quote(b.out, b.req.TxnID)
	}
	for _, part := range []func() error{b.lists, b.rooms, b.extensions} {
		if err := part(); err != nil {
			return err
		}
	}
	b.out = append(b.out, '}')
	return nil
}

// readOwn gets what the user's account data says about rooms.
func (b *slide) readOwn() (err error) {
	b.own = new(ownData)
	p := b.f.Personal
	if p == nil {
		return nil
	}
	if b.own, err = b.f.ownData(b.ctx, b.u, b.now.Pos); err != nil {
		return err
	}
	b.ignored, err = p.Ignored(b.ctx, b.u.id)
	b.enc.ignored = b.ignored
	return err
}

// lists finds the rooms that the rules match and writes how many each list has.
func (b *slide) lists() error {
	counts, err := b.matchRooms()
	if err != nil {
		return err
	}
	b.out = append(b.out, `,"lists":{`...)
	for i, l := range b.ask.lists {
		if i > 0 {
			b.out = append(b.out, ',')
		}
		b.out = canonjson.Quote(b.out, l.name)
		b.out = append(b.out, `:{"count":`...)
		b.out = strconv.AppendInt(b.out, int64(counts[i]), 10)
		b.out = append(b.out, '}')
		if old, ok := b.c.base.counts[l.name]; !ok || old != counts[i] {
			b.some = true
		}
		b.next.counts[l.name] = counts[i]
	}
	b.out = append(b.out, '}')
	return nil
}

// maxGrow bounds the memory that is taken before it is needed, in bytes.
const maxGrow = 256 << 10

// rooms writes the matching rooms of which there is something to tell.
func (b *slide) rooms() error {
	if b.fresh() {
		const event, rest = 400, 3000 // bytes, of one event and of what else a room has
		size := 0
		for i := range b.matches {
			size += b.ask.ruleOf(&b.matches[i]).limit*event + rest
		}
		b.out = slices.Grow(b.out, min(size, maxGrow))
	}
	b.out = append(b.out, `,"rooms":{`...)
	n := 0
	for i := range b.matches {
		m := &b.matches[i]
		b.next.eligible[m.Room] = struct{}{}
		if m.Event > b.now.Pos {
			continue // it is not there yet; what makes it so wakes us
		}
		known, isKnown := b.c.rooms[m.Room]
		if isKnown && !b.wanted(m, &known) {
			continue
		}
		r, err := b.f.Rooms.RoomByNID(b.ctx, m.Room)
		if err != nil {
			return err
		}
		undo := len(b.out)
		if n > 0 {
			b.out = append(b.out, ',')
		}
		b.out = canonjson.Quote(b.out, r.ID)
		b.out = append(b.out, ':')
		w := &slideRoom{slide: b, r: r, m: m, old: known}
		some, err := w.write()
		if err != nil {
			return err
		}
		b.next.rooms[m.Room] = w.known
		if !some {
			b.out = b.out[:undo]
			continue
		}
		b.told[m.Room] = &slideTold{first: w.isNew, place: w.place, events: w.timelineOf}
		n++
	}
	if n > 0 {
		b.some = true
	}
	b.out = append(b.out, '}')
	b.markGone()
	return nil
}

// markGone notes how much of the extensions' data was told of rooms that no
// rule matches any more.
func (b *slide) markGone() {
	for nid := range b.c.base.eligible {
		if _, ok := b.byRoom[nid]; ok {
			continue
		}
		if k, ok := b.c.rooms[nid]; ok {
			k.seen = b.c.base.at
			b.next.rooms[nid] = k
		}
	}
}

// wanted tells cheaply whether there may be something new in a known room.
func (b *slide) wanted(m *match, known *knownRoom) bool {
	if m.Event != known.event || m.Membership != known.membership {
		return true
	}
	if known.root == 0 && m.Membership != store.Join {
		return false // of the room itself it is told nothing
	}
	rule := b.ask.ruleOf(m)
	if !known.config.covers(rule.config) || rule.limit > known.limit && known.from != fromStart {
		return true
	}
	if m.Membership != store.Join {
		return false
	}
	return m.head.LastPos() > known.upto || b.own.direct[known.id] != known.dm || b.readSince(m.Room, known)
}

// readSince reports whether there are new receipts, which may change the counts.
func (b *slide) readSince(nid int64, known *knownRoom) bool {
	if b.f.Push == nil || b.f.Receipts == nil {
		return false
	}
	return b.f.Receipts.LastPos(nid) > b.seen(nid, known).Pos
}

// seen is the place up to which the connection has been told all of a room but
// its events.
func (b *slide) seen(nid int64, known *knownRoom) Token {
	if _, ok := b.c.base.eligible[nid]; ok {
		return b.c.base.at
	}
	return known.seen
}

func errUnknownPos() error {
	return mxerr.New(mxerr.UnknownPos, "This server does not know the position: start the connection anew")
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
