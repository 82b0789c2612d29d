package room

import (
	"context"

	"hearth/base/store"
	"hearth/matrix/authrules"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/pdu"
)

// TakeRedacts takes the target of a redaction out of its content, where clients
// put it. Sending puts it where the room's version wants it.
//
// Errors: M_MISSING_PARAM for no target, M_BAD_JSON.
func (d *Draft) TakeRedacts() error {
	content, err := canonjson.Canonical(nil, d.Content, canonjson.Options{Numbers: canonjson.Loose})
	if err != nil {
		return &mxerr.Error{Code: mxerr.BadJSON, Text: "Event content: " + err.Error(), Cause: err}
	}
	target, ok := canonjson.GetString(content, "redacts")
	if !ok || target == "" {
		return mxerr.New(mxerr.MissingParam, "redacts must name the event to redact")
	}
	d.Redacts, d.Content = target, canonjson.Without(nil, content, "redacts")
	return nil
}

// redactable returns the event that a redaction may remove. Senders may redact
// what they sent, others need the power level
// (client-server-api/#redactions, rooms/v3/#handling-redactions).
func (e *Engine) redactable(ctx context.Context, r *Room, v *view, d Draft) (*Event, error) {
	target, err := e.EventByID(ctx, d.Redacts)
	if err != nil || target.Room != r.NID {
		if err == nil || mxerr.From(err).Code == mxerr.NotFound {
			return nil, mxerr.New(mxerr.NotFound, "There is no such event in this room")
		}
		return nil, err
	}
	if target.Sender != d.Sender {
		levels := authrules.ParsePowerLevels(r.Version, v.auth("m.room.power_levels", ""), v.auth("m.room.create", ""))
		if v.err != nil {
			return nil, v.err
		}
		if levels.User(d.Sender) < levels.Redact {
			return nil, mxerr.New(mxerr.Forbidden, "You may not redact events of others in this room")
		}
	}
	if target.RedactedBy != 0 {
		return nil, nil // it is gone already; the redaction is sent all the same
	}
	return target, nil
}

func (c *commit) storeRedaction(r redaction) error {
	red, err := r.target.Redact()
	if err != nil {
		return err
	}
	gone := r.target.as(red)
	gone.RedactedBy = r.by.NID
	c.done = append(c.done, gone)
	if err := c.unrelate(r.target); err != nil {
		return err
	}
	return store.RedactEvent(c.tx, gone.NID, r.by.NID, red.JSON)
}

// Redacted is the event as it would be after a redaction.
func (ev *Event) Redacted() (*Event, error) {
	red, err := ev.Redact()
	if err != nil {
		return nil, err
	}
	return ev.as(red), nil
}

// as is the event in another form.
func (ev *Event) as(p *pdu.Event) *Event {
	return &Event{
		Event: p, NID: ev.NID, Room: ev.Room, Ord: ev.Ord, SK: ev.SK, State: ev.State, StateAfter: ev.StateAfter, RoomBefore: ev.RoomBefore, RoomAfter: ev.RoomAfter,
		Auth: ev.Auth, Flags: ev.Flags, RedactedBy: ev.RedactedBy, TxnDevice: ev.TxnDevice, TxnID: ev.TxnID,
	}
}
