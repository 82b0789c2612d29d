package feed

import (
	"slices"
	"strconv"
	"strings"

	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/matrix/canonjson"
)

// The extensions whose requests a connection remembers.
const (
	extAccountData = iota
	extReceipts
	extTyping
	numExtensions
)

// id is what an extension was asked for, "" for nothing.
func (x *SlideExtension) id() string {
	if !x.Enabled {
		return ""
	}
	return "+" + strings.Join(x.Lists, "\x00") + "\x01" + strings.Join(x.Rooms, "\x00") + "\x01" +
		strconv.FormatBool(x.Lists == nil) + strconv.FormatBool(x.Rooms == nil)
}

// maxExtensionID bounds what is kept of it; beyond, an extension always counts
// as asked for the first time.
const maxExtensionID = 8 << 10

func (b *slide) extensions() error {
	b.out = append(b.out, `,"extensions":{`...)
	start := len(b.out)
	x := &b.req.Extensions
	for i, e := range []*SlideExtension{&x.AccountData, &x.Receipts, &x.Typing} {
		if id := e.id(); len(id) <= maxExtensionID {
			b.next.ext[i] = id
		}
	}
	if err := b.keys(start); err != nil {
		return err
	}
	for _, part := range []func(int) error{b.accountData, b.receipts, b.threads, b.sticky} {
		if err := part(start); err != nil {
			return err
		}
	}
	b.typing(start)
	b.out = append(b.out, '}')
	return nil
}

// open begins a member of an object that starts at start.
func (b *slide) open(start int, name string) {
	if len(b.out) > start {
		b.out = append(b.out, ',')
	}
	b.out = canonjson.Quote(b.out, name)
	b.out = append(b.out, ':')
}

// keys writes the extensions of encryption (MSC3884, MSC3885).
func (b *slide) keys(start int) error {
	if b.f.Keys == nil {
		return nil
	}
	if x := b.req.Extensions.ToDevice; x.Enabled {
		after, _ := strconv.ParseInt(x.Since, 10, 64) // who comes with no token of ours gets all
		mail, done, err := b.f.Keys.Fetch(b.ctx, b.u.id, b.req.Device, after, b.now.Pos, x.Limit)
		if err != nil {
			return err
		}
		b.some = b.some || len(mail) > 0
		b.open(start, "to_device")
		b.out = strconv.AppendInt(append(b.out, `{"next_batch":"`...), done, 10)
		b.out = append(appendRaw(append(b.out, `","events":`...), mail), '}')
	}
	if !b.req.Extensions.E2EE.Enabled {
		return nil
	}
	b.open(start, "e2ee")
	b.out = append(b.out, '{')
	if !b.fresh() {
		after := b.c.base.at.Pos
		met, parted, err := b.f.meetings(b.ctx, b.u, after)
		if err != nil {
			return err
		}
		lists, err := b.f.deviceLists(b.ctx, b.u, after, met, parted)
		if err != nil {
			return err
		}
		if !lists.empty() {
			b.some = true
			b.out = append(lists.append(append(b.out, `"device_lists":`...)), ',')
		}
	}
	var err error
	b.out, err = b.f.appendCounts(b.ctx, b.out, b.u.id, b.req.Device)
	b.out = append(b.out, '}')
	return err
}

// asked reports whether an extension is on and, if so, whether it was not, or
// was for other rooms, in the response before.
func (b *slide) asked(ext int, x *SlideExtension) (on, anew bool) {
	if !x.Enabled {
		return false, false
	}
	return true, b.fresh() || b.next.ext[ext] == "" || b.c.base.ext[ext] != b.next.ext[ext]
}

// inScope reports whether an extension is for a room.
func (b *slide) inScope(x *SlideExtension, m *match) bool {
	for i, l := range b.ask.lists {
		if m.lists[i/64]>>(i%64)&1 == 1 && names(x.Lists, l.name) {
			return true
		}
	}
	return m.sub >= 0 && names(x.Rooms, b.ask.subs[m.sub].room)
}

func names(list []string, s string) bool {
	return list == nil || slices.Contains(list, s) || slices.Contains(list, "*")
}

// since is the place up to which an extension's data of a room was told.
func (b *slide) since(m *match, anew bool) (at Token, first bool) {
	known, ok := b.c.rooms[m.Room]
	if t := b.told[m.Room]; anew || !ok || t != nil && t.first {
		return Token{}, true
	}
	return b.seen(m.Room, &known), false
}

// idOf is the id of a room that this response or an earlier one told of; ""
// for others.
func (b *slide) idOf(nid int64) string {
	if k, ok := b.next.rooms[nid]; ok {
		return k.id
	}
	return b.c.rooms[nid].id
}

// perRoom writes the member "rooms" of an extension, with what write appends
// for each room.
func (b *slide) perRoom(x *SlideExtension, anew bool, write func(m *match, at Token, first bool) error) error {
	undo := len(b.out)
	b.out = append(b.out, `"rooms":{`...)
	start := len(b.out)
	for i := range b.matches {
		m := &b.matches[i]
		id := b.idOf(m.Room)
		if id == "" || !b.inScope(x, m) {
			continue
		}
		back := len(b.out)
		b.open(start, id)
		bare := len(b.out)
		at, first := b.since(m, anew)
		if err := write(m, at, first); err != nil {
			return err
		}
		if len(b.out) == bare {
			b.out = b.out[:back]
		}
	}
	if len(b.out) == start {
		b.out = b.out[:undo]
		return nil
	}
	b.some = true
	b.out = append(b.out, '}')
	return nil
}

// firsts are the rooms of an extension of which the client gets all there is:
// what one query reads of them need not be read room by room.
func (b *slide) firsts(x *SlideExtension, anew bool) (nids []int64) {
	for i := range b.matches {
		m := &b.matches[i]
		if _, first := b.since(m, anew); first && b.idOf(m.Room) != "" && b.inScope(x, m) {
			nids = append(nids, m.Room)
		}
	}
	return nids
}

// accountData writes the user's own data (MSC3959).
func (b *slide) accountData(start int) error {
	x := &b.req.Extensions.AccountData
	on, anew := b.asked(extAccountData, x)
	p := b.f.Personal
	if !on || p == nil {
		return nil
	}
	undo := len(b.out)
	b.open(start, "account_data")
	b.out = append(b.out, '{')
	bare := len(b.out)
	var changes []store.AccountData
	var err error
	if !anew && p.LastPos(b.u.id) > b.c.base.at.Pos {
		if changes, err = p.Since(b.ctx, b.u.id, b.c.base.at.Pos, b.now.Pos); err != nil {
			return err
		}
	}
	if err := b.globalData(anew, changes); err != nil {
		return err
	}
	comma := len(b.out) > bare
	if comma {
		b.out = append(b.out, ',')
	}
	roomsAt := len(b.out)
	all, err := p.In(b.ctx, b.u.id, b.firsts(x, anew)...)
	if err != nil {
		return err
	}
	err = b.perRoom(x, anew, func(m *match, at Token, first bool) error {
		data := changes
		if first {
			data = all
		} else if at != b.c.base.at {
			if data, err = p.In(b.ctx, b.u.id, m.Room); err != nil {
				return err
			}
		}
		b.dataArray(slices.DeleteFunc(slices.Clone(data), func(d store.AccountData) bool {
			return d.Room != m.Room || d.Pos <= at.Pos || first && isEmpty(d.Content)
		}))
		return nil
	})
	if comma && len(b.out) == roomsAt {
		b.out = b.out[:roomsAt-1]
	}
	if len(b.out) == bare {
		b.out = b.out[:undo]
		return err
	}
	b.out = append(b.out, '}')
	return err
}

// globalData writes account data of no room.
func (b *slide) globalData(anew bool, changes []store.AccountData) error {
	if anew {
		all, err := b.f.Personal.In(b.ctx, b.u.id, 0)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(d store.AccountData) bool { return d.Type == personal.TypePushRules }) {
			rules, err := b.f.Personal.Get(b.ctx, b.u.id, 0, personal.TypePushRules)
			if err != nil {
				return err
			}
			all = append(all, store.AccountData{Type: personal.TypePushRules, Content: rules})
		}
		changes = slices.DeleteFunc(all, func(d store.AccountData) bool { return isEmpty(d.Content) })
	}
	global := slices.DeleteFunc(slices.Clone(changes), func(d store.AccountData) bool { return d.Room != 0 })
	if len(global) == 0 {
		return nil
	}
	b.some = true
	b.out = append(b.out, `"global":`...)
	b.dataArray(global)
	return nil
}

func (b *slide) dataArray(data []store.AccountData) {
	if len(data) > 0 {
		b.out = appendAccountData(b.out, data)
	}
}

// receipts writes who read what (MSC3960). Of a room that the client starts with
// it gets the receipts since the start of the timeline, and the user's own.
func (b *slide) receipts(start int) error {
	x := &b.req.Extensions.Receipts
	on, anew := b.asked(extReceipts, x)
	if !on || b.f.Receipts == nil {
		return nil
	}
	undo := len(b.out)
	b.open(start, "receipts")
	b.out = append(b.out, '{')
	bare := len(b.out)
	allOwn, err := b.f.Receipts.Own(b.ctx, b.u.id, b.firsts(x, anew)...)
	if err != nil {
		return err
	}
	err = b.perRoom(x, anew, func(m *match, at Token, first bool) error {
		if m.Membership != store.Join || !first && b.f.Receipts.LastPos(m.Room) <= at.Pos {
			return nil
		}
		after := at.Pos
		if first {
			after = max(b.placeOf(m.Room), 0)
		}
		list, err := b.f.Receipts.Since(b.ctx, m.Room, after, b.now.Pos, b.u.id)
		if err != nil {
			return err
		}
		if first {
			list = slices.DeleteFunc(slices.Clone(list), func(r store.Receipt) bool { return r.User == b.u.id })
			for _, own := range allOwn {
				if own.Room == m.Room {
					list = append(list, own)
				}
			}
		}
		if len(list) > 0 {
			b.out = AppendReceipts(b.out, list)
		}
		return nil
	})
	if len(b.out) == bare {
		b.out = b.out[:undo]
		return err
	}
	b.out = append(b.out, '}')
	return err
}

// placeOf is where the client's timeline of a room starts.
func (b *slide) placeOf(nid int64) int64 {
	if t := b.told[nid]; t != nil {
		return t.place
	}
	return b.c.rooms[nid].from
}

// typing writes who is typing (MSC3961).
func (b *slide) typing(start int) {
	x := &b.req.Extensions.Typing
	on, anew := b.asked(extTyping, x)
	if !on || b.f.Typing == nil {
		return
	}
	undo := len(b.out)
	b.open(start, "typing")
	b.out = append(b.out, '{')
	bare := len(b.out)
	_ = b.perRoom(x, anew, func(m *match, at Token, first bool) error { // which fails only if its function does
		if m.Membership != store.Join {
			return nil
		}
		users, changed := b.f.Typing.Since(m.Room, at.Live)
		if changed && (!first || len(users) > 0) {
			b.out = appendTyping(b.out, users)
		}
		return nil
	})
	if len(b.out) == bare {
		b.out = b.out[:undo]
		return
	}
	b.out = append(b.out, '}')
}
