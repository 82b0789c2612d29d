package clientapi

import (
	"context"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// active are the operations that take an account in good standing, by their names
// in the specification: those by which others notice somebody
// (client-server-api/#account-suspension). What is sent to a room is looked at
// more closely, by mayHear.
var active = map[string]bool{
	"createRoom": true, "joinRoom": true, "joinRoomById": true, "knockRoom": true, "inviteUser": true,
	"kick": true, "ban": true, "unban": true, "upgradeRoom": true, "setTyping": true,
	"setProfileField": true, "deleteProfileField": true,
	"setRoomAlias": true, "deleteRoomAlias": true, "setRoomVisibilityOnDirectory": true,
}

// sharing are the operations that only those need who may speak: what is uploaded is
// shown to others, if not here then by its address.
//
// Messages to devices are not among them, as on Synapse: without them people could
// neither verify their own devices nor ask for the keys of what they may read, and
// what they say is for clients and not for people.
var sharing = map[string]bool{"uploadContent": true, "uploadContentToMXC": true, "createContent": true, "setPresence": true}

// Standing refuses routes to those who may not use them. It is httpx.Config's.
func Standing(route httpx.Route, who *httpx.Caller) error {
	if who.Locked && route.Spec != "logout" && route.Spec != "logout_all" {
		return account.ErrLocked()
	}
	if who.Suspended && (active[route.Spec] || sharing[route.Spec]) {
		return errSuspended()
	}
	if who.Consent != "" && active[route.Spec] {
		return errConsent(who)
	}
	return nil
}

// errConsent: client-server-api/#server-notices names M_CONSENT_NOT_GIVEN with its
// consent_uri.
func errConsent(who *httpx.Caller) error {
	err := mxerr.New(mxerr.ConsentNotGiven, "Please agree to the terms of use: %s", who.Consent)
	err.Fields = map[string]any{"consent_uri": who.Consent}
	return err
}

func errSuspended() error {
	return mxerr.New(mxerr.UserSuspended, "You cannot perform this action while suspended")
}

// mayHear decides whether others may hear of an event that the caller sends. It
// reports silent if they may not and the caller must not know.
func (a *Rooms) mayHear(ctx context.Context, roomID string, d room.Draft) (silent bool, err error) {
	who := httpx.Who(ctx)
	if who == nil {
		return false, nil
	}
	if who.Suspended && !a.harmless(ctx, roomID, d) {
		return false, errSuspended()
	}
	if who.Consent != "" && !a.harmless(ctx, roomID, d) {
		return false, errConsent(who)
	}
	return who.ShadowBanned, nil
}

// harmless tells what a suspended user may send: taking back their own words,
// leaving, and answers to the server's operators.
func (a *Rooms) harmless(ctx context.Context, roomID string, d room.Draft) bool {
	if a.Notices != nil && a.Notices.MayLeave(ctx, d.Sender, roomID) != nil {
		return true // the room in which the server speaks to them
	}
	switch {
	case d.Type == "m.room.redaction" && d.StateKey == nil:
		ev, err := a.Engine.EventByID(ctx, d.Redacts)
		return err == nil && ev.Sender == d.Sender
	case d.Type == "m.room.member" && d.StateKey != nil && *d.StateKey == d.Sender:
		membership, _ := canonjson.GetString(d.Content, "membership")
		return membership == "leave"
	}
	return false
}

// nothing is the answer to somebody whom nobody hears.
func nothing() httpx.Raw { return eventIDAnswer("$" + mxid.RandomString(43)) }
