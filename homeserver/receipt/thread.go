package receipt

import (
	"context"

	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// maxHops is how many relations are followed to find an event's thread
// (client-server-api/#threaded-read-receipts).
const maxHops = 3

// ThreadOf returns the root of the thread that an event is in, or Main. A root
// is itself in Main.
func (e *Engine) ThreadOf(ctx context.Context, r *room.Room, ev *room.Event) (string, error) {
	for range maxHops {
		kind, target := relation(ev)
		if kind == "m.thread" && target != "" {
			return target, nil
		}
		if target == "" {
			return Main, nil
		}
		next, err := e.rooms.EventByID(ctx, target)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				return Main, nil
			}
			return "", err
		}
		if next.Room != r.NID {
			return Main, nil
		}
		ev = next
	}
	if kind, target := relation(ev); kind == "m.thread" && target != "" {
		return target, nil
	}
	return Main, nil
}

// relation is what an event says it relates to, "" for nothing that could be an
// event. State events are in no thread whatever they say, and redactions follow
// their target.
func relation(ev *room.Event) (kind, target string) {
	if ev.StateKey != nil {
		return "", ""
	}
	if ev.Type == "m.room.redaction" {
		return "", ev.Redacts
	}
	raw, ok := ev.Get("m.relates_to")
	if !ok || !canonjson.IsObject(raw) {
		return "", ""
	}
	kind, _ = canonjson.GetString(raw, "rel_type")
	target, _ = canonjson.GetString(raw, "event_id")
	if _, err := mxid.ParseEventID(target); err != nil {
		return "", ""
	}
	return kind, target
}
