package search

import (
	"context"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
)

// indexAct notes that a user of this server invited somebody or joined a room.
func (e *Engine) indexAct(tx *db.Tx, ev store.RawEvent, at int64, content []byte) error {
	sender, _ := canonjson.GetString(ev.JSON, "sender")
	whom, _ := canonjson.GetString(ev.JSON, "state_key")
	if mxid.ServerOf(sender) != e.Server {
		return nil
	}
	act := store.MemberAct{User: sender, At: at, Event: ev.NID, Room: ev.Room}
	switch membership, _ := canonjson.GetString(content, "membership"); {
	case membership == "invite" && whom != sender:
		act.Kind = store.ActInvite
	case membership == "join" && whom == sender:
		act.Kind = store.ActJoin
	default:
		return nil
	}
	return store.AddMemberAct(tx, act)
}

// Invited counts the invitations that a user has sent since a time in ms.
func (e *Engine) Invited(ctx context.Context, user string, since int64) (int64, error) {
	n, _, err := e.acts(ctx, user, store.ActInvite, since)
	return n, err
}

// Joined counts the rooms that a user has joined since a time in ms, be they still
// in them or not.
func (e *Engine) Joined(ctx context.Context, user string, since int64) (int64, error) {
	_, rooms, err := e.acts(ctx, user, store.ActJoin, since)
	return rooms, err
}

func (e *Engine) acts(ctx context.Context, user string, kind, since int64) (n, rooms int64, err error) {
	if err := e.CatchUp(ctx); err != nil {
		return 0, 0, err
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		n, rooms, err = store.CountActs(tx, user, kind, since)
		return err
	})
	return n, rooms, err
}
