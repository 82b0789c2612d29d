package feed

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// SyncRequest is a client's question for news
// (client-server-api/#get_matrixclientv3sync).
type SyncRequest struct {
	User, Device string
	Since        string // "" for everything
	Filter       *personal.Filter
	FullState    bool
	Timeout      time.Duration
	// StateAfter asks for the state at the end of the timeline instead of at
	// its start, under the given name (MSC4222); "" for the usual.
	StateAfter string
}

// maxTimeout bounds how long a request is parked.
const maxTimeout = 2 * time.Minute

// Sync answers with what is new since the request's token, at once if there is
// anything, else when something comes or the timeout is over.
func (f *Feed) Sync(ctx context.Context, req SyncRequest) ([]byte, error) {
	body, p, err := f.BeginSync(ctx, req)
	if p != nil {
		return p.Wait(ctx)
	}
	return body, err
}

// BeginSync is Sync that returns a Pending if there is nothing to tell yet.
func (f *Feed) BeginSync(ctx context.Context, req SyncRequest) ([]byte, *Pending, error) {
	var since *Token
	if req.Since != "" {
		t, err := ParseToken(req.Since)
		if err != nil {
			return nil, nil, err
		}
		since = &t
	}
	u, err := f.user(ctx, req.User)
	if err != nil {
		return nil, nil, err
	}
	if since == nil || req.FullState || req.Timeout <= 0 {
		body, _, err := f.build(ctx, u, req, since, f.now())
		return body, nil, err
	}
	sent := u.sentTo(req.Device, false)
	woken, cancel := u.listener.WaitFor(req.Device)
	look := func(ctx context.Context, last bool) ([]byte, bool, error) {
		body, some, err := f.build(ctx, u, req, since, f.now())
		if some {
			sent.answered.Store(time.Now().UnixNano())
		}
		return body, some || last, err
	}
	p := &Pending{
		look: look, calm: func() time.Duration { return f.calm(sent, *since) },
		woken: woken, quit: f.quit, until: time.Now().Add(min(req.Timeout, maxTimeout)), end: cancel,
	}
	return p.begin(ctx)
}

// syncBuild makes one response.
type syncBuild struct {
	f     *Feed
	ctx   context.Context
	u     *user
	req   SyncRequest
	since *Token // nil for everything
	now   Token
	sent  *sentMembers

	ignored map[string]bool
	some    bool // there is anything to tell
	out     []byte
	// personal changes by room, 0 for global
	data map[int64][]store.AccountData
	enc  *Encoder
	// Users who now share a room with this one and did not before, and the other
	// way round.
	met, parted map[string]bool
	mail        [][]byte // messages to the device
	stickies    map[int64][]store.StickyEvent
}

func (f *Feed) build(ctx context.Context, u *user, req SyncRequest, since *Token, now Token) (body []byte, some bool, err error) {
	b := &syncBuild{f: f, ctx: ctx, u: u, req: req, since: since, now: now, sent: u.sentTo(req.Device, since == nil), enc: NewEncoder(f.Rooms, u.id, req.Device)}
	b.enc.raw, b.enc.fields = req.Filter.EventFormat == "federation", fieldsOf(req.Filter.EventFields)
	if since != nil && since.Pos > now.Pos {
		// A token from the future of a database that was restored: the client
		// knows things that are gone. Telling it all again is the only cure.
		b.since = nil
	}
	if b.since != nil && b.since.Live > now.Live {
		b.since.Live = 0 // the server was started anew
	}
	if err := b.response(); err != nil {
		return nil, false, err
	}
	return b.out, b.some || b.since == nil || req.FullState, nil
}

// after is the position that the client has seen.
func (b *syncBuild) after() int64 {
	if b.since == nil {
		return 0
	}
	return b.since.Pos
}

func (b *syncBuild) response() error {
	if err := b.toDevice(); err != nil {
		return err
	}
	if err := b.planSticky(); err != nil {
		return err
	}
	b.out = append(b.out, `{"next_batch":"`...)
	b.out = append(b.out, b.now.String()...)
	b.out = append(b.out, '"')
	for _, part := range []func() error{b.accountData, b.rooms, b.meet, b.presence, b.devices} {
		if err := part(); err != nil {
			return err
		}
	}
	b.out = append(b.out, '}')
	return nil
}

// meet finds out whom the user met and parted from.
func (b *syncBuild) meet() (err error) {
	if b.since != nil {
		b.met, b.parted, err = b.f.meetings(b.ctx, b.u, b.since.Pos)
	}
	return err
}

// accountData reads what changed of the user's own data and writes the global
// part of it.
func (b *syncBuild) accountData() error {
	b.data = map[int64][]store.AccountData{}
	p := b.f.Personal
	if p == nil {
		return nil
	}
	var all []store.AccountData
	var err error
	switch {
	case b.since == nil:
		all, err = p.All(b.ctx, b.u.id, b.now.Pos)
	case p.LastPos(b.u.id) > b.since.Pos:
		all, err = p.Since(b.ctx, b.u.id, b.since.Pos, b.now.Pos)
	}
	if err != nil {
		return err
	}
	for _, d := range all {
		b.data[d.Room] = append(b.data[d.Room], d)
	}
	global := b.data[0][:0:0]
	for _, d := range b.data[0] {
		if b.req.Filter.AccountData.MatchType(d.Type) && !(b.since == nil && isEmpty(d.Content)) {
			global = append(global, d)
		}
	}
	if len(global) > 0 {
		b.some = true
		b.out = append(b.out, `,"account_data":`...)
		b.appendData(global)
	}
	b.ignored, err = p.Ignored(b.ctx, b.u.id)
	b.enc.ignored = b.ignored
	return err
}

func isEmpty(content []byte) bool { return string(content) == "{}" }

func (b *syncBuild) appendData(data []store.AccountData) {
	b.out = append(b.out, `{"events":`...)
	b.out = appendAccountData(b.out, data)
	b.out = append(b.out, '}')
}

// rooms writes the rooms of which there is something to tell, by the user's
// relation to them.
func (b *syncBuild) rooms() error {
	// That a forgotten room was left is told to clients that do not know it yet:
	// else the user's other devices would show it for ever.
	todo := b.u.roomsWhere(func(r *userRoom) bool { return (!r.Forgotten || b.since != nil) && b.wanted(r) })
	slices.SortFunc(todo, func(x, y *userRoom) int { return int(min(max(x.Room-y.Room, -1), 1)) })
	if b.since == nil && b.f.Push != nil {
		if err := b.f.Push.Preload(b.ctx, b.u.id, joinedOf(todo)); err != nil {
			return err
		}
	}
	start := len(b.out)
	b.out = append(b.out, `,"rooms":{`...)
	any := false
	for _, section := range []struct {
		name  string
		in    func(store.Membership) bool
		write func(*room.Room, *userRoom) (bool, error)
	}{
		{"join", func(m store.Membership) bool { return m == store.Join }, b.joined},
		{"invite", func(m store.Membership) bool { return m == store.Invite }, b.invited},
		{"knock", func(m store.Membership) bool { return m == store.Knock }, b.knocked},
		{"leave", func(m store.Membership) bool { return m == store.Leave || m == store.Ban }, b.left},
	} {
		n, err := b.section(section.name, any, todo, section.in, section.write)
		if err != nil {
			return err
		}
		any = any || n > 0
	}
	if !any {
		b.out = b.out[:start]
		return nil
	}
	b.some = true
	b.out = append(b.out, '}')
	return nil
}

func joinedOf(rooms []*userRoom) []int64 {
	var out []int64
	for _, r := range rooms {
		if r.Membership == store.Join {
			out = append(out, r.Room)
		}
	}
	return out
}

// section writes one member of "rooms". A room whose write reports false leaves
// no trace.
func (b *syncBuild) section(name string, comma bool, todo []*userRoom, in func(store.Membership) bool, write func(*room.Room, *userRoom) (bool, error)) (n int, err error) {
	start := len(b.out)
	if comma {
		b.out = append(b.out, ',')
	}
	b.out = append(b.out, '"')
	b.out = append(b.out, name...)
	b.out = append(b.out, `":{`...)
	for _, ur := range todo {
		if !in(ur.Membership) {
			continue
		}
		r, err := b.f.Rooms.RoomByNID(b.ctx, ur.Room)
		if err != nil {
			return 0, err
		}
		if !b.req.Filter.Room.MatchRoom(r.ID) {
			continue
		}
		undo := len(b.out)
		if n > 0 {
			b.out = append(b.out, ',')
		}
		b.out = canonjson.Quote(b.out, r.ID)
		b.out = append(b.out, ':')
		some, err := write(r, ur)
		if err != nil {
			return 0, err
		}
		if !some {
			b.out = b.out[:undo]
			continue
		}
		n++
	}
	if n == 0 {
		b.out = b.out[:start]
		return 0, nil
	}
	b.out = append(b.out, '}')
	return n, nil
}

// wanted tells cheaply whether there may be something to tell of a room.
func (b *syncBuild) wanted(r *userRoom) bool {
	switch r.Membership {
	case store.Join:
		return b.since == nil || b.req.FullState || r.head.LastPos() > b.since.Pos || len(b.data[r.Room]) > 0 || len(b.stickies[r.Room]) > 0 || b.ephemeralSince(r.Room)
	case store.Invite, store.Knock:
		return r.Event > b.after()
	case store.Leave, store.Ban:
		if b.since == nil {
			return b.req.Filter.Room.IncludeLeave
		}
		return r.Event > b.since.Pos
	}
	return false
}

func (b *syncBuild) ephemeralSince(room int64) bool {
	if b.f.Receipts != nil && b.f.Receipts.LastPos(room) > b.since.Pos {
		return true
	}
	if b.f.Typing != nil {
		_, changed := b.f.Typing.Since(room, b.since.Live)
		return changed
	}
	return false
}

func (b *syncBuild) invited(r *room.Room, ur *userRoom) (bool, error) {
	return b.stripped(r, ur, "invite_state")
}

func (b *syncBuild) knocked(r *room.Room, ur *userRoom) (bool, error) {
	return b.stripped(r, ur, "knock_state")
}

func (b *syncBuild) stripped(r *room.Room, ur *userRoom, name string) (bool, error) {
	events, err := b.f.Rooms.Events(b.ctx, r.Version, []int64{ur.Event})
	if err != nil || len(events) == 0 {
		return false, err
	}
	if b.ignored[events[0].Sender] {
		return false, nil
	}
	state, err := StrippedState(b.ctx, b.f.Rooms, r, events[0].StateAfter, b.u.id)
	if err != nil {
		return false, err
	}
	b.out = append(b.out, `{"`...)
	b.out = append(b.out, name...)
	b.out = append(b.out, `":{"events":`...)
	b.out = append(b.out, state...)
	b.out = append(b.out, `}}`...)
	return true, nil
}

// ephemeral writes typing and receipts of a room.
func (b *syncBuild) ephemeral(r *room.Room) error {
	start := len(b.out)
	b.out = append(b.out, `,"ephemeral":{"events":[`...)
	n := 0
	filter := b.req.Filter.Room.Ephemeral
	if b.f.Typing != nil && filter.MatchType("m.typing") {
		live := int64(0)
		if b.since != nil {
			live = b.since.Live
		}
		users, changed := b.f.Typing.Since(r.NID, live)
		if changed && (b.since != nil || len(users) > 0) {
			n++
			b.out = appendTyping(b.out, users)
		}
	}
	if b.f.Receipts != nil && filter.MatchType("m.receipt") && b.f.Receipts.LastPos(r.NID) > b.after() {
		receipts, err := b.f.Receipts.Since(b.ctx, r.NID, b.after(), b.now.Pos, b.u.id)
		if err != nil {
			return err
		}
		if len(receipts) > 0 {
			if n > 0 {
				b.out = append(b.out, ',')
			}
			n++
			b.out = AppendReceipts(b.out, receipts)
		}
	}
	if n == 0 {
		b.out = b.out[:start]
		return nil
	}
	b.out = append(b.out, `]}`...)
	return nil
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = canonjson.Quote(b, s)
	}
	return append(b, ']')
}

// AppendReceipts writes an m.receipt event
// (client-server-api/#mreceipt).
func AppendReceipts(b []byte, receipts []store.Receipt) []byte {
	type one struct {
		TS     int64  `json:"ts"`
		Thread string `json:"thread_id,omitempty"`
	}
	content := map[string]map[string]map[string]one{}
	for _, r := range receipts {
		if content[r.EventID] == nil {
			content[r.EventID] = map[string]map[string]one{}
		}
		if content[r.EventID][r.Kind] == nil {
			content[r.EventID][r.Kind] = map[string]one{}
		}
		content[r.EventID][r.Kind][r.User] = one{r.At, r.Thread}
	}
	raw, err := json.Marshal(content)
	if err != nil { // strings and numbers always marshal
		raw = []byte("{}")
	}
	b = append(b, `{"content":`...)
	b = append(b, raw...)
	return append(b, `,"type":"m.receipt"}`...)
}

func (b *syncBuild) summary(r *room.Room) error {
	heroes, err := b.f.Heroes(b.ctx, r, b.u.id)
	if err != nil {
		return err
	}
	cur := r.Current()
	b.out = append(b.out, `,"summary":{"m.heroes":`...)
	b.out = appendStrings(b.out, heroes)
	b.out = append(b.out, `,"m.joined_member_count":`...)
	b.out = strconv.AppendInt(b.out, cur.Joined, 10)
	b.out = append(b.out, `,"m.invited_member_count":`...)
	b.out = strconv.AppendInt(b.out, cur.Invited, 10)
	b.out = append(b.out, '}')
	return nil
}
