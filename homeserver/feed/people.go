package feed

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"hearth/homeserver/presence"
	"hearth/homeserver/push"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// presence writes who came and went, of those who share a room with the user,
// and who is there of those who did not before.
func (b *syncBuild) presence() error {
	p := b.f.Presence
	if p == nil || !p.Enabled() || !b.req.Filter.Presence.MatchType("m.presence") {
		return nil
	}
	live := int64(0)
	if b.since != nil {
		live = b.since.Live
	}
	met := p.Of(slices.Sorted(maps.Keys(b.met)))
	if p.LastChange() <= live && len(met) == 0 {
		return nil
	}
	var failed error
	events := p.Since(live, func(other string) bool {
		ok, err := p.Shares(b.ctx, b.u.id, other)
		if err != nil && failed == nil {
			failed = err
		}
		return ok && b.req.Filter.Presence.Match("m.presence", other, false)
	})
	for _, ev := range met {
		seen := slices.ContainsFunc(events, func(e presence.Event) bool { return e.User == ev.User })
		if !seen && b.req.Filter.Presence.Match("m.presence", ev.User, false) {
			events = append(events, ev)
		}
	}
	if failed != nil || len(events) == 0 {
		return failed
	}
	raw, err := json.Marshal(events)
	if err != nil {
		return err
	}
	b.some = true
	b.out = append(b.out, `,"presence":{"events":`...)
	b.out = append(b.out, raw...)
	b.out = append(b.out, '}')
	return nil
}

// unread closes a joined room with its counts
// (client-server-api/#receiving-notifications).
func (b *syncBuild) unread(r *room.Room) error {
	if b.f.Push != nil {
		counts, err := b.f.Push.Counts(b.ctx, r, b.u.id, b.now.Pos)
		if err != nil {
			return err
		}
		main := counts.Total()
		if f := b.req.Filter.Room.Timeline; f != nil && f.UnreadThreadNotifications {
			main = counts
			b.appendThreads(counts.Threads)
		}
		b.out = append(b.out, `,"unread_notifications":`...)
		b.out = appendCounts(b.out, main)
	}
	b.out = append(b.out, '}')
	return nil
}

func (b *syncBuild) appendThreads(threads map[string]push.Counts) {
	if len(threads) == 0 {
		return
	}
	b.out = append(b.out, `,"unread_thread_notifications":{`...)
	for i, root := range slices.Sorted(maps.Keys(threads)) {
		if i > 0 {
			b.out = append(b.out, ',')
		}
		b.out = canonjson.Quote(b.out, root)
		b.out = append(b.out, ':')
		b.out = appendCounts(b.out, threads[root])
	}
	b.out = append(b.out, '}')
}

func appendCounts(b []byte, c push.Counts) []byte {
	b = append(b, `{"highlight_count":`...)
	b = strconv.AppendInt(b, int64(c.Highlight), 10)
	b = append(b, `,"notification_count":`...)
	b = strconv.AppendInt(b, int64(c.Notify), 10)
	return append(b, '}')
}
