package feed_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store/storetest"
	"hearth/homeserver/e2ee"
	"hearth/homeserver/feed"
	"hearth/homeserver/personal"
	"hearth/homeserver/push"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/homeserver/typing"
	"hearth/matrix/mxerr"
)

// town is a server with everything that the feed reads from.
type town struct {
	t        testing.TB
	rooms    *room.Engine
	feed     *feed.Feed
	personal *personal.Engine
	receipts *receipt.Engine
	typing   *typing.Engine
	keys     int // made so far
}

func newTown(t testing.TB, d *db.DB) *town {
	hub := notify.NewHub(d.Position())
	d.OnCommit(hub.Advance)
	w := &town{t: t}
	w.rooms = room.New(room.Config{
		DB: d, Hub: hub, Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: noNames{},
	})
	w.typing = typing.New(w.rooms, hub)
	t.Cleanup(w.typing.Stop)
	w.receipts = receipt.New(d, w.rooms, hub)
	w.personal = personal.New(d, hub)
	counter := push.New(push.Config{DB: d, Rooms: w.rooms, Receipts: w.receipts, Personal: w.personal})
	w.feed = feed.New(feed.Config{
		DB: d, Rooms: w.rooms, Hub: hub, Keys: e2ee.New(e2ee.Config{DB: d, Hub: hub, Server: "test"}), Typing: w.typing, Receipts: w.receipts, Personal: w.personal, Push: counter,
	})
	return w
}

func eachTown(t *testing.T, f func(t *testing.T, w *town)) {
	storetest.Each(t, func(t *testing.T, d *db.DB) { f(t, newTown(t, d)) })
}

func (w *town) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) room(name string, members ...string) *room.Room {
	w.t.Helper()
	r := newRoom(w.t, w.rooms, room.CreateRequest{Name: name, Preset: "public_chat"})
	for _, m := range members {
		w.ok(w.rooms.Join(context.Background(), m, r.ID, room.JoinRequest{}))
	}
	return r
}

func (w *town) say(r *room.Room, who, text string) *room.Event {
	w.t.Helper()
	return send(w.t, w.rooms, r, room.Draft{Sender: who, Type: "m.room.message", Content: json.RawMessage(fmt.Sprintf(`{"body":%q,"msgtype":"m.text"}`, text))})
}

func (w *town) set(r *room.Room, who, typ, key, content string) *room.Event {
	w.t.Helper()
	return send(w.t, w.rooms, r, room.Draft{Sender: who, Type: typ, StateKey: &key, Content: json.RawMessage(content)})
}

func (w *town) put(who string, r *room.Room, typ, content string) {
	w.t.Helper()
	nid := int64(0)
	if r != nil {
		nid = r.NID
	}
	w.ok(w.personal.Put(context.Background(), who, nid, typ, json.RawMessage(content)))
}

// phone is a client with one connection.
type phone struct {
	*town
	user, device string
	pos          string
	query        string // the body of its requests
}

func (w *town) phone(user, query string) *phone {
	return &phone{town: w, user: user, device: "PHONE", query: query}
}

type slideEvent struct {
	Type     string          `json:"type"`
	EventID  string          `json:"event_id"`
	Sender   string          `json:"sender"`
	StateKey *string         `json:"state_key"`
	Content  json.RawMessage `json:"content"`
	Unsigned map[string]any  `json:"unsigned"`
}

func (e slideEvent) String() string {
	var c struct{ Body, Membership, Name string }
	_ = json.Unmarshal(e.Content, &c)
	s := e.Type + c.Body + c.Membership + c.Name
	if c.Body != "" {
		s = c.Body
	}
	if e.StateKey != nil && *e.StateKey != "" {
		s += " " + *e.StateKey
	}
	if e.Content == nil {
		s += " gone"
	}
	return s
}

type slideAnswerRoom struct {
	Name          json.RawMessage `json:"name"`
	Avatar        json.RawMessage `json:"avatar"`
	Heroes        []slideHero     `json:"heroes"`
	IsDM          *bool           `json:"is_dm"`
	Initial       bool            `json:"initial"`
	Expanded      bool            `json:"expanded_timeline"`
	Membership    string          `json:"membership"`
	Lists         []string        `json:"lists"`
	RequiredState []slideEvent    `json:"required_state"`
	Timeline      []slideEvent    `json:"timeline"`
	InviteState   []slideEvent    `json:"invite_state"`
	Stripped      []slideEvent    `json:"stripped_state"`
	PrevBatch     string          `json:"prev_batch"`
	Limited       bool            `json:"limited"`
	Live          int             `json:"num_live"`
	Joined        *int            `json:"joined_count"`
	Invited       *int            `json:"invited_count"`
	Bump          int64           `json:"bump_stamp"`
	Notify        *int            `json:"notification_count"`
	Highlight     *int            `json:"highlight_count"`
}

type slideHero struct {
	UserID string `json:"user_id"`
	Name   string `json:"displayname"`
}

type slideAnswer struct {
	Pos   string `json:"pos"`
	TxnID string `json:"txn_id"`
	Lists map[string]struct {
		Count int `json:"count"`
	} `json:"lists"`
	Rooms      map[string]slideAnswerRoom `json:"rooms"`
	Extensions struct {
		AccountData *struct {
			Global []slideEvent            `json:"global"`
			Rooms  map[string][]slideEvent `json:"rooms"`
		} `json:"account_data"`
		Receipts *struct {
			Rooms map[string]slideEvent `json:"rooms"`
		} `json:"receipts"`
		Typing *struct {
			Rooms map[string]slideEvent `json:"rooms"`
		} `json:"typing"`
		E2EE map[string]json.RawMessage `json:"e2ee"`
		To   map[string]json.RawMessage `json:"to_device"`
	} `json:"extensions"`
	raw []byte
}

func (p *phone) try(ctx context.Context, timeout int64) (a slideAnswer, err error) {
	var req feed.SlideRequest
	if err := json.Unmarshal([]byte(p.query), &req); err != nil {
		return a, err
	}
	req.User, req.Device, req.Pos, req.Timeout = p.user, p.device, p.pos, timeout
	raw, err := p.feed.Slide(ctx, req)
	if err != nil {
		return a, err
	}
	a.raw = raw
	if err = json.Unmarshal(raw, &a); err != nil {
		err = fmt.Errorf("%w in %s", err, raw)
	}
	return a, err
}

// ask asks once, without moving on.
func (p *phone) ask() slideAnswer {
	p.t.Helper()
	a, err := p.try(context.Background(), 0)
	p.ok(err)
	return a
}

// sync asks and takes what comes.
func (p *phone) sync() slideAnswer {
	p.t.Helper()
	a := p.ask()
	p.pos = a.Pos
	return a
}

func (p *phone) room(a slideAnswer, r *room.Room) slideAnswerRoom {
	p.t.Helper()
	got, ok := a.Rooms[r.ID]
	if !ok {
		p.t.Fatalf("the room is not in %s", a.raw)
	}
	return got
}

// quiet fails if there is anything new.
func (p *phone) quiet() {
	p.t.Helper()
	if a := p.sync(); len(a.Rooms) > 0 {
		p.t.Errorf("something is new: %s", a.raw)
	}
}

func slideTexts(events []slideEvent) string {
	var out []string
	for _, ev := range events {
		out = append(out, ev.String())
	}
	return strings.Join(out, ", ")
}

func slideSorted(events []slideEvent) string {
	var out []string
	for _, ev := range events {
		out = append(out, ev.String())
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

const slideWindow = `{"lists":{"all":{"ranges":[[0,2]],"timeline_limit":3,"required_state":[["m.room.create",""],["m.room.name",""]]}}}`

// A first request gets the rooms in which something happened last, and nothing
// of the others.
func TestSlideFirstWindow(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		var rooms []*room.Room
		for i := range 5 {
			rooms = append(rooms, w.room(fmt.Sprint("Room ", i)))
		}
		w.say(rooms[0], alice, "one")
		w.say(rooms[0], alice, "two")
		a := w.phone(alice, slideWindow).sync()
		if a.Lists["all"].Count != 5 {
			t.Errorf("count = %d", a.Lists["all"].Count)
		}
		want := []string{rooms[0].ID, rooms[3].ID, rooms[4].ID}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(a.Rooms)); !slices.Equal(got, want) {
			t.Errorf("rooms = %v, want %v", got, want)
		}
		r := a.Rooms[rooms[0].ID]
		if string(r.Name) != `"Room 0"` || !r.Initial || r.Membership != "join" || *r.Joined != 1 || *r.Invited != 0 || *r.Notify != 0 || r.IsDM != nil {
			t.Errorf("room is %+v", r)
		}
		if got := slideTexts(r.Timeline); !strings.HasSuffix(got, "one, two") || len(r.Timeline) != 3 || !r.Limited || r.Live != 0 || r.PrevBatch == "" {
			t.Errorf("timeline is %s, %+v", got, r)
		}
		if got := slideTexts(r.RequiredState); got != "m.room.create, m.room.nameRoom 0" {
			t.Errorf("required_state is %s", got)
		}
		if len(r.Heroes) > 0 || r.Bump == 0 || !slices.Equal(r.Lists, []string{"all"}) {
			t.Errorf("room is %+v", r)
		}
	})
}

// A message moves a room to the top; only what is new is told.
func TestSlideLiveMessage(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		kitchen, cellar := w.room("Kitchen", bob), w.room("Cellar")
		for i := range 3 {
			w.room(fmt.Sprint("Room ", i))
		}
		p := w.phone(alice, slideWindow)
		if a := p.sync(); a.Rooms[kitchen.ID].Initial {
			t.Fatalf("the oldest room is in the window")
		}
		p.quiet()
		w.say(kitchen, bob, "Tea?")
		r := p.room(p.sync(), kitchen)
		if !r.Initial || r.Live != 1 || len(r.Timeline) != 3 || r.Timeline[2].String() != "Tea?" || *r.Notify != 1 {
			t.Errorf("the room that moved up is %+v", r)
		}
		w.say(kitchen, bob, "Now!")
		r = p.room(p.sync(), kitchen)
		if r.Initial || r.Live != 1 || slideTexts(r.Timeline) != "Now!" || r.Limited || r.RequiredState != nil || r.Name != nil || r.Joined != nil || *r.Notify != 2 || r.Bump == 0 {
			t.Errorf("the second message comes as %+v", r)
		}
		w.set(kitchen, alice, "m.room.name", "", `{"name":"Galley"}`)
		r = p.room(p.sync(), kitchen)
		if string(r.Name) != `"Galley"` || slideTexts(r.RequiredState) != "m.room.nameGalley" || r.Bump != 0 || r.Notify == nil || *r.Notify != 2 {
			t.Errorf("the new name comes as %+v", r)
		}
		w.set(kitchen, alice, "m.room.name", "", `{}`)
		if r = p.room(p.sync(), kitchen); string(r.Name) != "null" || len(r.Heroes) != 1 || r.Heroes[0].UserID != bob {
			t.Errorf("no name comes as %+v", r)
		}
		_ = cellar
		p.quiet()
	})
}

// What got lost on the way is told again to a client that asks again, and what
// it has got is not.
func TestSlideRetry(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob)
		for range 3 {
			w.say(r, alice, "Hello?")
		}
		p := w.phone(alice, strings.Replace(slideWindow, `["m.room.name",""]`, `["m.room.member","$LAZY"]`, 1))
		first := p.pos
		lost := p.ask()
		p.pos = first
		again := p.sync()
		if len(lost.Rooms) != 1 || len(again.Rooms) != 1 || !p.room(again, r).Initial {
			t.Fatalf("the first answer is not repeated: %s", again.raw)
		}
		w.say(r, bob, "One")
		one := p.ask() // lost
		w.say(r, bob, "Two")
		two := p.ask() // lost too
		three := p.sync()
		if slideTexts(p.room(one, r).Timeline) != "One" || slideTexts(p.room(two, r).Timeline) != "One, Two" || slideTexts(p.room(three, r).Timeline) != "One, Two" {
			t.Errorf("answers are\n%s\n%s\n%s", one.raw, two.raw, three.raw)
		}
		for _, a := range []slideAnswer{one, two, three} {
			if got := slideTexts(p.room(a, r).RequiredState); got != "m.room.memberjoin @bob:test" {
				t.Errorf("the sender comes as %q", got)
			}
		}
		p.quiet()
		w.say(r, bob, "Three")
		if got := p.room(p.sync(), r); slideTexts(got.Timeline) != "Three" || len(got.RequiredState) > 0 {
			t.Errorf("after the retries: %+v", got)
		}
		p.pos = one.Pos
		if _, err := p.try(t.Context(), 0); mxerr.From(err).Code != mxerr.UnknownPos {
			t.Errorf("an abandoned position gives %v", err)
		}
	})
}

// Positions belong to a connection of a device, and to the life of a process.
func TestSlideUnknownPos(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.room("Kitchen", bob)
		p := w.phone(alice, slideWindow)
		p.sync()
		unknown := func(name string, p phone) {
			t.Helper()
			if _, err := p.try(t.Context(), 0); mxerr.From(err).Code != mxerr.UnknownPos || mxerr.From(err).HTTPStatus() != 400 {
				t.Errorf("%s: %v", name, err)
			}
		}
		other := *p
		other.user = bob
		unknown("somebody else", other)
		other = *p
		other.device = "LAPTOP"
		unknown("another device", other)
		other = *p
		other.query = `{"conn_id":"other"}`
		unknown("another connection", other)
		other = *p
		other.town = newTown(t, d)
		unknown("after a restart", other)
		other.pos = ""
		other.sync()
		other.pos = p.pos
		unknown("after a restart and a new start", other)
		if a := p.sync(); len(a.Rooms) > 0 {
			t.Errorf("the connection itself is disturbed: %s", a.raw)
		}
	})
}

// Many connections push the oldest one out.
func TestSlideTooManyConnections(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		var all []*phone
		for i := range 17 {
			p := w.phone(alice, fmt.Sprintf(`{"conn_id":"%d"}`, i))
			p.sync()
			all = append(all, p)
		}
		if _, err := all[0].try(t.Context(), 0); mxerr.From(err).Code != mxerr.UnknownPos {
			t.Errorf("the first of 17 connections: %v", err)
		}
		for _, p := range all[1:] {
			p.sync()
		}
	})
}

func TestSlideInviteAndLeave(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		ctx := t.Context()
		home := w.room("Home", bob)
		p := w.phone(bob, slideWindow)
		p.sync()

		r := newRoom(t, w.rooms, room.CreateRequest{Name: "Secret", Preset: "private_chat"})
		w.say(r, alice, "before bob")
		w.ok(w.rooms.Invite(ctx, alice, r.ID, bob, ""))
		a := p.sync()
		got := p.room(a, r)
		if got.Membership != "invite" || !got.Initial || got.Timeline != nil || got.RequiredState != nil || got.Name != nil ||
			!strings.Contains(slideSorted(got.InviteState), "m.room.memberinvite @bob:test") || slideSorted(got.Stripped) != slideSorted(got.InviteState) {
			t.Errorf("the invite is %+v", got)
		}
		if a.Lists["all"].Count != 2 {
			t.Errorf("count = %d", a.Lists["all"].Count)
		}
		w.say(r, alice, "still before bob")
		p.quiet()

		w.ok(w.rooms.Join(ctx, bob, r.ID, room.JoinRequest{}))
		got = p.room(p.sync(), r)
		if got.Membership != "join" || !got.Initial || string(got.Name) != `"Secret"` || slideTexts(got.RequiredState) != "m.room.create, m.room.nameSecret" || got.InviteState != nil {
			t.Errorf("the room after joining is %+v", got)
		}
		w.ok(w.rooms.Leave(ctx, bob, r.ID, ""))
		w.set(r, alice, "m.room.name", "", `{"name":"Without bob"}`)
		w.say(r, alice, "after bob")
		a = p.sync()
		if got = p.room(a, r); got.Membership != "leave" || got.Initial || slideTexts(got.Timeline) != "m.room.memberleave @bob:test" || got.Name != nil {
			t.Errorf("the room after leaving is %+v", got)
		}
		if strings.Contains(string(a.raw), "ithout bob") || strings.Contains(string(a.raw), "after bob") {
			t.Errorf("bob learns what happened later: %s", a.raw)
		}
		p.quiet()
		fresh := w.phone(bob, slideWindow)
		fresh.device = "LAPTOP"
		if a := fresh.sync(); len(a.Rooms) != 1 || a.Lists["all"].Count != 1 {
			t.Errorf("a new connection is told of a room that bob left: %s", a.raw)
		}
		// Later changes of the membership tell nothing of the room.
		w.ok(w.rooms.Ban(ctx, alice, r.ID, bob, ""))
		a = p.sync()
		if got = p.room(a, r); got.Membership != "ban" || !strings.Contains(slideTexts(got.Timeline), "m.room.memberban") || strings.Contains(string(a.raw), "ithout bob") {
			t.Errorf("the room after a ban is %s", a.raw)
		}

		w.ok(w.rooms.Kick(ctx, alice, home.ID, bob, "out"))
		if got = p.room(p.sync(), home); got.Membership != "leave" || !strings.Contains(slideTexts(got.Timeline), "memberleave") {
			t.Errorf("the room after a kick is %+v", got)
		}
		fresh.pos = ""
		if a := fresh.sync(); a.Rooms[home.ID].Membership != "leave" || a.Rooms[r.ID].Membership != "ban" {
			t.Errorf("a new connection is not told of kick and ban: %s", a.raw)
		}
		w.ok(w.rooms.Join(ctx, bob, home.ID, room.JoinRequest{}))
		if got = p.room(p.sync(), home); got.Membership != "join" || !got.Initial || string(got.Name) != `"Home"` {
			t.Errorf("the room after coming back is %+v", got)
		}
	})
}

func TestSlideRefusedInvite(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		ctx := t.Context()
		p := w.phone(bob, slideWindow)
		p.sync()
		r := newRoom(t, w.rooms, room.CreateRequest{Name: "Secret", Preset: "private_chat", Invite: []string{bob}})
		p.sync()
		w.ok(w.rooms.Leave(ctx, bob, r.ID, ""))
		a := p.sync()
		if got := p.room(a, r); got.Membership != "leave" || got.InviteState != nil || slideTexts(got.Timeline) != "m.room.memberleave @bob:test" || got.Joined != nil {
			t.Errorf("the refused invite is %s", a.raw)
		}
		p.quiet()

		// Who is banned without ever having been there hears nothing of it.
		other := newRoom(t, w.rooms, room.CreateRequest{Preset: "private_chat"})
		w.ok(w.rooms.Ban(ctx, alice, other.ID, bob, ""))
		if a := p.sync(); len(a.Rooms) > 0 {
			t.Errorf("a ban from nowhere is told: %s", a.raw)
		}
		// An ignored person's invite is not shown.
		w.put(bob, nil, "m.ignored_user_list", `{"ignored_users":{"@alice:test":{}}}`)
		newRoom(t, w.rooms, room.CreateRequest{Preset: "private_chat", Invite: []string{bob}})
		if a := p.sync(); len(a.Rooms) > 0 {
			t.Errorf("an ignored person's invite is told: %s", a.raw)
		}
	})
}

// A subscription tells more of a room than the list does, at once, and only
// what the client has not got.
func TestSlideSubscription(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob)
		for i := range 6 {
			w.say(r, bob, fmt.Sprint("m", i))
		}
		w.room("Cellar")
		list := `"lists":{"all":{"range":[0,9],"timeline_limit":1,"required_state":{"include":[{"type":"m.room.name","state_key":""}]}}}`
		p := w.phone(alice, `{`+list+`}`)
		got := p.room(p.sync(), r)
		if slideTexts(got.Timeline) != "m5" || slideTexts(got.RequiredState) != "m.room.nameKitchen" {
			t.Fatalf("the list tells %+v", got)
		}
		p.query = `{` + list + `,"room_subscriptions":{"` + r.ID + `":{"timeline_limit":4,"required_state":[["m.room.create",""],["m.room.name",""],["m.room.member","$ME"]]},"!nowhere:test":{"timeline_limit":1}}}`
		got = p.room(p.sync(), r)
		if slideTexts(got.Timeline) != "m2, m3, m4, m5" || !got.Expanded || got.Initial || !got.Limited || got.Live != 0 {
			t.Errorf("the subscription tells %+v", got)
		}
		if s := slideTexts(got.RequiredState); s != "m.room.create, m.room.memberjoin @alice:test" {
			t.Errorf("the subscription's state is %s", s)
		}
		p.quiet()
		w.say(r, bob, "m6")
		if got = p.room(p.sync(), r); slideTexts(got.Timeline) != "m6" || got.Expanded || got.Limited || !slices.Equal(got.Lists, []string{"all"}) {
			t.Errorf("a message comes as %+v", got)
		}
		// Without the subscription it is one event again; with it, the client
		// has them all but those of the gap.
		sub := p.query
		p.query = `{` + list + `}`
		p.quiet()
		p.query = sub
		p.quiet()
		p.query = `{` + list + `}`
		w.say(r, bob, "m7")
		w.say(r, bob, "m8")
		if got = p.room(p.sync(), r); slideTexts(got.Timeline) != "m8" || !got.Limited {
			t.Errorf("two messages come as %+v", got)
		}
		p.query = sub
		if got = p.room(p.sync(), r); slideTexts(got.Timeline) != "m5, m6, m7, m8" || !got.Expanded {
			t.Errorf("the second subscription tells %+v", got)
		}
		// Even when nothing is left out, clients look for what they have only
		// in what is limited (matrix-js-sdk).
		p.query = strings.Replace(sub, `"timeline_limit":4`, `"timeline_limit":50`, 1)
		if got = p.room(p.sync(), r); len(got.Timeline) < 15 || got.Timeline[0].Type != "m.room.create" || !got.Expanded || !got.Limited {
			t.Errorf("the whole room is %+v", got)
		}
		w.say(r, bob, "m9")
		if got = p.room(p.sync(), r); slideTexts(got.Timeline) != "m9" || got.Limited {
			t.Errorf("a message after the whole room is %+v", got)
		}
	})
}

// A room that is subscribed to by somebody who has no business there is not
// told of.
func TestSlideSubscribedStranger(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := newRoom(t, w.rooms, room.CreateRequest{Preset: "private_chat"})
		p := w.phone(bob, `{"room_subscriptions":{"`+r.ID+`":{"timeline_limit":4}}}`)
		if a := p.sync(); len(a.Rooms) > 0 {
			t.Errorf("a stranger gets %s", a.raw)
		}
		w.ok(w.rooms.Invite(t.Context(), alice, r.ID, bob, ""))
		w.ok(w.rooms.Join(t.Context(), bob, r.ID, room.JoinRequest{}))
		w.ok(w.rooms.Leave(t.Context(), bob, r.ID, ""))
		w.say(r, alice, "after bob")
		got := p.room(p.sync(), r)
		if s := slideTexts(got.Timeline); !strings.HasSuffix(s, "memberleave @bob:test") || got.Membership != "leave" {
			t.Errorf("somebody who was there gets %s", s)
		}
	})
}

// After a gap the client gets the newest events and all state that changed.
func TestSlideGap(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("Kitchen", bob)
		p := w.phone(alice, slideWindow)
		p.sync()
		w.set(r, alice, "m.room.name", "", `{"name":"Galley"}`)
		for i := range 40 {
			w.say(r, bob, fmt.Sprint("m", i))
		}
		got := p.room(p.sync(), r)
		if slideTexts(got.Timeline) != "m37, m38, m39" || !got.Limited || got.Initial || got.Live != 3 || slideTexts(got.RequiredState) != "m.room.nameGalley" || string(got.Name) != `"Galley"` {
			t.Errorf("the gap is %+v", got)
		}
		place, err := feed.ParsePlace(got.PrevBatch)
		w.ok(err)
		before, err := w.rooms.Before(t.Context(), r, place+1, 0, 1)
		w.ok(err)
		if body, _ := before[0].GetString("body"); body != "m36" {
			t.Errorf("prev_batch continues at %s", body)
		}
		if pos, err := feed.ParsePlace(p.pos); err != nil || pos < place {
			t.Errorf("pos is no place for /messages: %d, %v", pos, err)
		}
	})
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
