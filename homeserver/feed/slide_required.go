package feed

import (
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// changedState says which parts of what a room is called by changed.
type changedState struct{ name, avatar, members bool }

// picked collects the state that a response sends.
type picked struct {
	nids []int64
	have map[int64]bool
	gone []room.Key // state that is no longer there
}

func (p *picked) add(nid int64) {
	if p.have == nil {
		p.have = map[int64]bool{}
	}
	if !p.have[nid] {
		p.have[nid] = true
		p.nids = append(p.nids, nid)
	}
}

// state writes required_state: all of it for a client that starts anew with the
// room, else what changed and what the rules did not want before.
func (w *slideRoom) state(n slideNews) (changed changedState, err error) {
	var p picked
	config := w.rule.config
	if w.isNew {
		err = w.pickAll(&p, n.root, config, nil)
	} else {
		changed, err = w.pickChanged(&p, n)
		if err == nil && !w.old.config.covers(config) {
			err = w.pickAll(&p, n.root, config, w.old.config)
		}
	}
	// While the state stays as it is, the client keeps what it was told for
	// other rules.
	if told := w.old.config; !w.isNew && n.root == w.old.root && told != nil {
		w.known.config = w.c.config(told.and(config))
	} else {
		w.known.config = w.c.config(config)
	}
	if err != nil {
		return changed, err
	}
	if config.lazy {
		if err := w.pickSenders(&p, n); err != nil {
			return changed, err
		}
	}
	if w.own != nil && w.known.event != w.old.event {
		p.add(w.own.NID) // clients learn from it that the user is gone
	}
	return changed, w.required(p)
}

// pickAll picks what a config wants at a root, without what another one wants.
func (w *slideRoom) pickAll(p *picked, root int64, config, but *roomConfig) error {
	wants := func(k room.Key) bool { return config.wants(k) && (but == nil || !but.wants(k)) }
	if config.allMembers() && (but == nil || !but.allMembers()) {
		events, err := w.f.Rooms.State(w.ctx, w.r, root, wants)
		for _, ev := range events {
			p.add(ev.NID)
		}
		return err
	}
	facts, err := w.f.facts.of(w.ctx, w.f.Rooms, w.r, root)
	if err != nil {
		return err
	}
	for key, nid := range facts.keys {
		if wants(key) {
			p.add(nid)
		}
	}
	for _, user := range config.members() {
		if !wants(room.Key{Type: member, StateKey: user}) {
			continue
		}
		ev, err := w.f.Rooms.StateEvent(w.ctx, w.r, root, member, user)
		if err != nil {
			return err
		}
		if ev != nil {
			p.add(ev.NID)
		}
	}
	return nil
}

// pickChanged picks what is wanted of the state that changed.
func (w *slideRoom) pickChanged(p *picked, n slideNews) (changed changedState, err error) {
	if n.root == w.old.root {
		return changed, nil
	}
	diff, err := w.f.Rooms.StateDiff(w.ctx, w.old.root, n.root)
	if err != nil {
		return changed, err
	}
	names, err := keyNames(w.ctx, w.f.Rooms, diff)
	if err != nil {
		return changed, err
	}
	config := w.rule.config
	for sk, nid := range diff {
		key := names[sk]
		switch {
		case key.Type == member:
			changed.members = true
		case key == room.Key{Type: "m.room.name"}:
			changed.name = true
		case key == room.Key{Type: "m.room.avatar"}:
			changed.avatar = true
		}
		// Without a gap the client keeps its list of members complete.
		lazily := key.Type == member && config.lazy && !n.limited
		switch {
		case !lazily && !config.wants(key):
		case nid == 0:
			p.gone = append(p.gone, key)
		default:
			p.add(nid)
			if lazily {
				w.sentMember(n, key.StateKey, nid)
			}
		}
	}
	return changed, nil
}

// pickSenders picks the members that the timeline speaks of and the client has
// not got.
func (w *slideRoom) pickSenders(p *picked, n slideNews) error {
	seen := map[string]bool{}
	pick := func(user string) error {
		if seen[user] {
			return nil
		}
		seen[user] = true
		ev, err := w.f.Rooms.StateEvent(w.ctx, w.r, n.root, member, user)
		if err == nil && ev != nil && w.sentMember(n, user, ev.NID) {
			p.add(ev.NID)
		}
		return err
	}
	for _, ev := range n.events {
		if err := pick(ev.Sender); err != nil {
			return err
		}
		if ev.Type == member && ev.StateKey != nil {
			if err := pick(*ev.StateKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// sentMember notes that a member event is sent and reports whether the client
// had not got it. After a gap a client forgets the members that it had.
func (w *slideRoom) sentMember(n slideNews, user string, nid int64) bool {
	step := w.next.members[w.r.NID]
	if step == nil {
		step = &memberStep{anew: w.isNew || n.limited, sent: map[string]int64{}}
		w.next.members[w.r.NID] = step
	}
	if step.sent[user] == nid || !step.anew && w.c.members[w.r.NID][user] == nid {
		return false
	}
	step.sent[user] = nid
	return true
}

// required writes the events that were picked.
func (w *slideRoom) required(p picked) error {
	if len(p.nids)+len(p.gone) == 0 && !w.isNew {
		return nil
	}
	w.some = true
	events, err := w.f.Rooms.EventsSorted(w.ctx, w.r.Version, p.nids)
	if err != nil {
		return err
	}
	w.field("required_state")
	if err := w.append(events); err != nil {
		return err
	}
	if len(p.gone) == 0 {
		return nil
	}
	w.out = w.out[:len(w.out)-1]
	for i, key := range p.gone {
		if i > 0 || len(events) > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, `{"state_key":`...)
		w.out = canonjson.Quote(w.out, key.StateKey)
		w.out = append(w.out, `,"type":`...)
		w.out = canonjson.Quote(w.out, key.Type)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
	return nil
}
