package directory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Entry is a room as the public list shows it
// (client-server-api/#get_matrixclientv3publicrooms).
type Entry struct {
	RoomID         string `json:"room_id"`
	Name           string `json:"name,omitempty"`
	Topic          string `json:"topic,omitempty"`
	CanonicalAlias string `json:"canonical_alias,omitempty"`
	AvatarURL      string `json:"avatar_url,omitempty"`
	JoinRule       string `json:"join_rule,omitempty"`
	RoomType       string `json:"room_type,omitempty"`
	WorldReadable  bool   `json:"world_readable"`
	GuestCanJoin   bool   `json:"guest_can_join"`
	Joined         int64  `json:"num_joined_members"`

	nid   int64
	state int64  // root that the entry was made of
	words string // what searches look at, in lower case
}

// list is the public list in memory, in the order in which it is shown: rooms
// with most members first. It never changes.
type list struct {
	entries []*Entry
	at      time.Time
	in      map[int64]*Entry
}

// maxAge bounds how long a list is used that another process may have changed.
const maxAge = 30 * time.Second

// observe notes changes of rooms that are in the list, or came with it. It
// runs in the store's writer.
func (d *Directory) observe(r *room.Room, ev *room.Event) {
	if ev.StateKey == nil || d.stale.Load() {
		return
	}
	d.mu.Lock()
	_, in := d.list.in[r.NID]
	d.mu.Unlock()
	if in || r.Current().Listed {
		d.stale.Store(true)
	}
}

// current returns the list, made anew if it is out of date.
func (d *Directory) current(ctx context.Context) (*list, error) {
	d.mu.Lock()
	old := d.list
	d.mu.Unlock()
	if old.in != nil && !d.stale.Load() && d.Now().Sub(old.at) < maxAge {
		return old, nil
	}
	d.stale.Store(false) // before the look into the store: what comes later counts
	next, err := d.read(ctx, old)
	if err != nil {
		d.stale.Store(true)
		return nil, err
	}
	d.mu.Lock()
	d.list = next
	d.mu.Unlock()
	return next, nil
}

// read makes the list of the store, with what is still right of the old one.
func (d *Directory) read(ctx context.Context, old *list) (*list, error) {
	var rows []store.Listing
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.Listings(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d.build(ctx, rows, old)
}

// build makes a list of rows, with what is still right of an old one.
func (d *Directory) build(ctx context.Context, rows []store.Listing, old *list) (next *list, err error) {
	next = &list{at: d.Now(), in: make(map[int64]*Entry, len(rows)), entries: make([]*Entry, 0, len(rows))}
	for _, row := range rows {
		e := old.in[row.Room]
		switch {
		case e == nil || e.state != row.State:
			if e, err = d.entry(ctx, row); err != nil {
				return nil, err
			}
		case e.Joined != row.Joined:
			again := *e
			again.Joined = row.Joined
			e = &again
		}
		next.entries = append(next.entries, e)
		next.in[row.Room] = e
	}
	return next, nil
}

// Describe is a room as the public list would show it, be it in the list or not.
func (d *Directory) Describe(ctx context.Context, r *room.Room) (*Entry, error) {
	cur := r.Current()
	return d.entry(ctx, store.Listing{Room: r.NID, RoomID: r.ID, State: cur.State, Joined: cur.Joined})
}

// entry reads what the state of a room says about it.
func (d *Directory) entry(ctx context.Context, row store.Listing) (*Entry, error) {
	r, err := d.Rooms.RoomByNID(ctx, row.Room)
	if err != nil {
		return nil, err
	}
	e := &Entry{RoomID: row.RoomID, Joined: row.Joined, nid: row.Room, state: row.State}
	var visibility, guests string
	for _, f := range []struct {
		typ, key string
		to       *string
	}{
		{"m.room.create", "type", &e.RoomType},
		{"m.room.name", "name", &e.Name},
		{"m.room.topic", "topic", &e.Topic},
		{"m.room.canonical_alias", "alias", &e.CanonicalAlias},
		{"m.room.avatar", "url", &e.AvatarURL},
		{"m.room.join_rules", "join_rule", &e.JoinRule},
		{"m.room.history_visibility", "history_visibility", &visibility},
		{"m.room.guest_access", "guest_access", &guests},
	} {
		ev, err := d.Rooms.StateEvent(ctx, r, row.State, f.typ, "")
		if err != nil {
			return nil, err
		}
		if ev == nil {
			continue
		}
		*f.to, _ = ev.GetString(f.key)
		if f.typ == "m.room.topic" {
			e.Topic = plainTopic(ev.Content, e.Topic)
		}
	}
	e.WorldReadable, e.GuestCanJoin = visibility == "world_readable", guests == "can_join"
	e.words = strings.ToLower(strings.Join([]string{e.Name, e.Topic, e.CanonicalAlias}, "\n"))
	return e, nil
}

// plainTopic is the plain text of an m.room.topic event: that of m.topic if it
// has any, else the old field (client-server-api/#mroomtopic).
func plainTopic(content []byte, old string) string {
	texts, _ := canonjson.Path(content, "m.topic", "m.text")
	found := ""
	canonjson.EachElem(texts, func(text []byte) bool {
		mime, given := canonjson.GetString(text, "mimetype")
		body, ok := canonjson.GetString(text, "body")
		if ok && (!given || mime == "text/plain") {
			found = body
			return false
		}
		return true
	})
	return cmp.Or(found, old)
}

// Query asks for a page of the public list.
type Query struct {
	Term  string    // to be found in name, topic or alias, or a room id
	Types []*string // room types, nil among them for rooms without; nil for all
	Limit int       // 0 for as many as there may be
	Since string    // token of another page
	// Network asks for the rooms that an application service shows; nil for those
	// of this server.
	Network *Network
}

// Network is one that a service bridges. An empty one stands for all, and the
// rooms of this server with them.
type Network struct{ Service, ID string }

// Page is a part of the public list.
type Page struct {
	Rooms []*Entry `json:"chunk"`
	Next  string   `json:"next_batch,omitempty"`
	Prev  string   `json:"prev_batch,omitempty"`
	Total int      `json:"total_room_count_estimate"`
}

// MaxPage bounds how many rooms a page has.
const MaxPage = 500

// Search returns a page of the public list.
func (d *Directory) Search(ctx context.Context, q Query) (*Page, error) {
	at, err := parseCursor(q.Since)
	if err != nil {
		return nil, err
	}
	l, err := d.current(ctx)
	if err == nil && q.Network != nil && *q.Network != (Network{}) && q.Network.Service == "" {
		l = &list{} // nobody's
	} else if err == nil && q.Network != nil {
		l, err = d.network(ctx, l, *q.Network)
	}
	if err != nil {
		return nil, err
	}
	term := strings.ToLower(strings.TrimSpace(q.Term))
	found := make([]*Entry, 0, len(l.entries))
	for _, e := range l.entries {
		if (strings.Contains(e.words, term) || e.RoomID == q.Term) && e.isOf(q.Types) {
			found = append(found, e)
		}
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	from, to := at.window(found, limit)
	p := &Page{Rooms: found[from:to], Total: len(found)}
	if to < len(found) && to > from {
		p.Next = cursor{joined: found[to-1].Joined, nid: found[to-1].nid}.String()
	}
	if from > 0 && to > from {
		p.Prev = cursor{joined: found[from].Joined, nid: found[from].nid, back: true}.String()
	}
	return p, nil
}

// maxNetworks bounds the networks whose lists are kept in memory.
const maxNetworks = 64

// network makes the list of a network, or of all with those of l. Of a room that is
// as it was it keeps what it knew.
func (d *Directory) network(ctx context.Context, l *list, n Network) (*list, error) {
	var rows []store.Listing
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.NetworkListings(tx, n.Service, n.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	old := d.networks[n]
	d.mu.Unlock()
	if old == nil {
		old = &list{}
	}
	theirs, err := d.build(ctx, rows, old)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		d.mu.Lock()
		if d.networks == nil || len(d.networks) >= maxNetworks {
			d.networks = map[Network]*list{}
		}
		d.networks[n] = theirs
		d.mu.Unlock()
	}
	if n != (Network{}) {
		return theirs, nil
	}
	out := &list{entries: slices.Clone(l.entries)}
	for _, e := range theirs.entries {
		if l.in[e.nid] == nil {
			out.entries = append(out.entries, e)
		}
	}
	slices.SortFunc(out.entries, func(a, b *Entry) int { return cmp.Or(cmp.Compare(b.Joined, a.Joined), cmp.Compare(a.nid, b.nid)) })
	return out, nil
}

func (e *Entry) isOf(types []*string) bool {
	if types == nil {
		return true
	}
	return slices.ContainsFunc(types, func(t *string) bool {
		return t == nil && e.RoomType == "" || t != nil && *t == e.RoomType
	})
}

// cursor is a place in the list: behind a room, or before one with back. It
// names the room by what it is sorted by, so that pages stay where they are
// when rooms come and go.
type cursor struct {
	joined, nid int64
	back        bool
	start       bool // no token
}

func (c cursor) String() string {
	way := "n"
	if c.back {
		way = "p"
	}
	return way + strconv.FormatInt(c.joined, 10) + "_" + strconv.FormatInt(c.nid, 10)
}

func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{start: true}, nil
	}
	joined, nid, ok := strings.Cut(s[1:], "_")
	c := cursor{back: s[0] == 'p'}
	var err1, err2 error
	c.joined, err1 = strconv.ParseInt(joined, 10, 64)
	c.nid, err2 = strconv.ParseInt(nid, 10, 64)
	if !ok || err1 != nil || err2 != nil || s[0] != 'p' && s[0] != 'n' {
		return c, mxerr.New(mxerr.InvalidParam, "%q is not a token of this list", s)
	}
	return c, nil
}

// window returns the bounds of the page at c.
func (c cursor) window(found []*Entry, limit int) (from, to int) {
	if c.start {
		return 0, min(limit, len(found))
	}
	at, same := slices.BinarySearchFunc(found, c, func(e *Entry, c cursor) int {
		return cmp.Or(cmp.Compare(c.joined, e.Joined), cmp.Compare(e.nid, c.nid))
	})
	if c.back {
		return max(0, at-limit), at
	}
	if same {
		at++
	}
	return at, min(at+limit, len(found))
}
