package push_test

import (
	"encoding/json"
	"slices"
	"testing"

	"hearth/homeserver/push"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/pushrule"
)

// TestSettingsFollowUpgrade: who muted a room and called it a favourite finds
// the next one so.
func TestSettingsFollowUpgrade(t *testing.T) {
	each(t, func(h *house) {
		next, err := h.rooms.Create(h.Context(), alice, room.CreateRequest{Preset: "public_chat"})
		h.must(err)
		h.must(h.push.ChangeRules(h.Context(), bob, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Put(pushrule.Room, h.room.ID, pushrule.Draft{Actions: &pushrule.Actions{}}, pushrule.Place{})
		}))
		h.must(h.data.SetTag(h.Context(), bob, h.room.NID, "m.favourite", json.RawMessage(`{"order":0.5}`)))
		h.must(h.push.Follow(h.Context(), bob, h.room, next))
		rs, err := h.push.Rules(h.Context(), bob)
		h.must(err)
		if rule, err := rs.Get(pushrule.Room, next.ID); err != nil || len(rule.Actions) != 0 {
			h.Errorf("the rule is %v %v", rule, err)
		}
		if tags, err := h.data.Tags(h.Context(), bob, next.NID); err != nil || tags["m.favourite"] == nil {
			h.Errorf("the tags are %v %v", tags, err)
		}
	})
}

// TestThreadSubscriptions: bob hears of a thread that he follows in a room that
// he has muted, and a client that comes late does not bring back what he left.
func TestThreadSubscriptions(t *testing.T) {
	each(t, func(h *house) {
		h.must(h.push.ChangeRules(h.Context(), bob, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
			return rs.Put(pushrule.Room, h.room.ID, pushrule.Draft{Actions: &pushrule.Actions{}}, pushrule.Place{})
		}))
		root := h.say(alice, "root")
		h.must(h.push.Subscribe(h.Context(), h.room, bob, root, nil))
		cause, err := h.rooms.EventByID(h.Context(), h.inThread(alice, root))
		h.must(err)
		h.counts("0/0 1/0", root)
		h.must(h.push.Unsubscribe(h.Context(), h.room, bob, root))
		if err := h.push.Subscribe(h.Context(), h.room, bob, root, cause); mxerr.From(err).Status != 409 {
			h.Errorf("got %v, want a conflict", err)
		}
		later, err := h.rooms.EventByID(h.Context(), h.inThread(alice, root))
		h.must(err)
		h.must(h.push.Subscribe(h.Context(), h.room, bob, root, later))
		if on, auto, err := h.push.Subscription(h.Context(), bob, h.room.NID, root); !on || !auto || err != nil {
			h.Errorf("got %v %v %v", on, auto, err)
		}
	})
}

// TestNotified: bob pages back through what he was told of, the newest first.
func TestNotified(t *testing.T) {
	each(t, func(h *house) {
		first := h.say(alice, "one")
		second := h.mention()
		h.read(bob, "m.read", "", first)
		page := func(from int64, limit int, highlights bool) ([]push.Notified, int64) {
			all, next, err := h.push.Notified(h.Context(), bob, from, limit, highlights)
			h.must(err)
			return all, next
		}
		all, next := page(1<<62, 1, false)
		if len(all) != 1 || all[0].Event.ID != second || all[0].Read || next == 0 {
			h.Fatalf("first page %v %d", all, next)
		}
		all, _ = page(next, 10, false)
		if len(all) != 1 || all[0].Event.ID != first || !all[0].Read {
			h.Errorf("second page %v", all)
		}
		if all, next := page(1<<62, 10, true); len(all) != 1 || all[0].Event.ID != second || next != 0 {
			h.Errorf("highlights %v %d", all, next)
		}
	})
}

// TestNotifiedOfLittle: one request looks at so many events and no more, and who
// goes on finds all that there is, in every room.
func TestNotifiedOfLittle(t *testing.T) {
	each(t, func(h *house) {
		kitchen := h.room
		var want []string
		for i := range 3 {
			if h.room = kitchen; i == 1 {
				var err error
				h.room, err = h.rooms.Create(h.Context(), alice, room.CreateRequest{Preset: "public_chat"})
				h.must(err)
				h.join(bob)
			}
			want = append(want, h.mention())
			for range 30 {
				h.say(alice, "noise")
			}
		}
		h.push.MaxSeen = 10
		var got []string
		requests := 0
		for from := int64(1 << 62); from != 0; requests++ {
			all, next, err := h.push.Notified(h.Context(), bob, from, 5, true)
			h.must(err)
			for _, n := range all {
				got = append(got, n.Event.ID)
			}
			if next >= from {
				h.Fatalf("from %d on to %d", from, next)
			}
			from = next
		}
		slices.Reverse(want)
		if !slices.Equal(got, want) || requests < 10 {
			h.Errorf("%d requests found %v, want %v", requests, got, want)
		}
	})
}
