package clientapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *Rooms) roomStateRoutes() []httpx.Route {
	h := rawBody(a.setRoomStateWithKey)
	return []httpx.Route{
		{Pattern: "PUT /rooms/{roomId}/state/{eventType}/{stateKey}", Auth: httpx.Guest, Limit: "send", Handler: h, Spec: "setRoomStateWithKey"},
		{Pattern: "PUT /rooms/{roomId}/state/{eventType}/{$}", Auth: httpx.Guest, Limit: "send", Handler: h, Spec: "setRoomStateWithKey"},
		{Pattern: "PUT /rooms/{roomId}/state/{eventType}", Auth: httpx.Guest, Limit: "send", Handler: h, Spec: "setRoomStateWithKey"},
	}
}

// setRoomStateWithKey: client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
func (a *Rooms) setRoomStateWithKey(ctx context.Context, r *http.Request, body json.RawMessage) (httpx.Raw, error) {
	who, roomID, key := httpx.Who(ctx), r.PathValue("roomId"), r.PathValue("stateKey")
	if delay, err := delayOf(r); delay != 0 || err != nil {
		if err != nil {
			return nil, err
		}
		return a.later(ctx, r, delay, &key, body)
	}
	d := room.Draft{Sender: who.User, Device: who.Device, Type: r.PathValue("eventType"), StateKey: &key, Content: body}
	var err error
	if d.Timestamp, err = givenTime(r); err != nil {
		return nil, err
	}
	if d.Sticky, err = stickyFor(r); err != nil {
		return nil, err
	}
	if silent, err := a.mayHear(ctx, roomID, d); silent || err != nil {
		return nothing(), err
	}
	id, err := a.setState(ctx, who, roomID, d)
	if err != nil {
		return nil, a.outside(ctx, err, roomID, who.User)
	}
	return eventIDAnswer(id), nil
}

func (a *Rooms) setState(ctx context.Context, who *httpx.Caller, roomID string, d room.Draft) (string, error) {
	r, err := a.Engine.Room(ctx, roomID)
	if err != nil {
		return "", err
	}
	old, err := a.Engine.StateEvent(ctx, r, r.Current().State, d.Type, *d.StateKey)
	if err != nil {
		return "", err
	}
	guests := d.Type == "m.room.guest_access" && *d.StateKey == ""
	if old != nil && old.Sender == d.Sender && sameContent(old.Content, d.Content) && !guests && d.Sticky == 0 {
		return old.ID, nil // what is so already needs no event
	}
	switch d.Type {
	case "m.room.canonical_alias":
		if err := a.checkAliases(ctx, roomID, old, d.Content); err != nil {
			return "", err
		}
	case "m.room.member":
		if done, err := a.setMember(ctx, who, r, old, d); done || err != nil {
			return a.stateID(ctx, r, d, err)
		}
	}
	ev, err := a.Engine.Send(ctx, roomID, d)
	if err != nil {
		return "", err
	}
	switch {
	case guests:
		err = a.Engine.ExpelGuests(ctx, r)
	case d.Type == "m.room.tombstone" && *d.StateKey == "":
		err = a.moved(ctx, d.Content)
	}
	return ev.ID, err
}

func sameContent(old, next json.RawMessage) bool {
	canon, err := canonjson.Canonical(nil, next, canonjson.Options{Numbers: canonjson.Loose})
	return err == nil && bytes.Equal(canon, old)
}

// setMember does what the membership operations do besides sending the event.
// It reports true if it has sent it.
func (a *Rooms) setMember(ctx context.Context, who *httpx.Caller, r *room.Room, old *room.Event, d room.Draft) (bool, error) {
	target := *d.StateKey
	if _, err := mxid.ParseUserID(target); err != nil {
		return false, err
	}
	membership, _ := canonjson.GetString(d.Content, "membership")
	switch {
	case membership == store.Invite.String():
		if mxid.ServerOf(target) != a.Engine.Server {
			return false, mxerr.New(mxerr.Forbidden, "This server does not talk to other servers, so %s cannot be reached", target)
		}
		if err := a.open(ctx, r.ID); err != nil {
			return false, err
		}
		return false, a.mayInvite(ctx, target)
	case membership == store.Join.String() && target == who.User && (old == nil || old.Membership() != "join"):
		// Guests, and those who enter a restricted room, are looked at more closely.
		var content map[string]any
		if err := json.Unmarshal(d.Content, &content); err != nil {
			return false, mxerr.New(mxerr.BadJSON, "The content must be an object")
		}
		if err := a.open(ctx, r.ID); err != nil {
			return true, err
		}
		return true, a.Engine.Join(ctx, who.User, r.ID, room.JoinRequest{Guest: who.Guest, Content: content})
	}
	return false, nil
}

// stateID is the id of the state event that d has become.
func (a *Rooms) stateID(ctx context.Context, r *room.Room, d room.Draft, err error) (string, error) {
	if err != nil {
		return "", err
	}
	ev, err := a.Engine.StateEvent(ctx, r, r.Current().State, d.Type, *d.StateKey)
	if err != nil {
		return "", err
	}
	if ev == nil {
		return "", mxerr.New(mxerr.Forbidden, "Somebody else has changed this membership meanwhile")
	}
	return ev.ID, nil
}

// canonicalAlias is the content of an m.room.canonical_alias event.
type canonicalAlias struct {
	Alias *string  `json:"alias"`
	Alt   []string `json:"alt_aliases"`
}

func (c *canonicalAlias) all() []string {
	if c.Alias == nil || *c.Alias == "" {
		return c.Alt
	}
	return append([]string{*c.Alias}, c.Alt...)
}

// checkAliases refuses aliases that lead elsewhere. Those that the room had
// before may stay, wherever they lead by now.
func (a *Rooms) checkAliases(ctx context.Context, roomID string, old *room.Event, content json.RawMessage) error {
	var next, before canonicalAlias
	if err := json.Unmarshal(content, &next); err != nil {
		return mxerr.New(mxerr.BadJSON, "alias must be a string and alt_aliases a list of strings")
	}
	if old != nil {
		_ = json.Unmarshal(old.Content, &before) // a wrong shape had no aliases
	}
	for _, alias := range next.all() {
		if slices.Contains(before.all(), alias) {
			continue
		}
		if _, err := mxid.ParseRoomAlias(alias); err != nil {
			return err
		}
		id, err := a.Directory.Resolve(ctx, alias)
		if err != nil && mxerr.From(err).Code != mxerr.NotFound {
			return err
		}
		if id != roomID {
			return mxerr.New(mxerr.BadAlias, "The alias %s does not lead to this room", alias)
		}
	}
	return nil
}
