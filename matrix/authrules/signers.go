package authrules

import (
	"slices"

	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// Signers lists the servers whose valid signature ev needs before its rules are
// checked (server-server-api/#validating-hashes-and-signatures-on-received-events
// and rule 5.2): that of the sender, unless ev comes of a third-party invite;
// that of the event id in room versions 1 and 2; that of the user who authorised
// a restricted join.
func Signers(ev *pdu.Event) []mxid.ServerName {
	var servers []mxid.ServerName
	add := func(s mxid.ServerName) {
		if !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
	}
	if !fromThirdParty(ev) {
		add(ev.Origin())
	}
	if ev.Version.EventIDs == roomver.EventIDWithServer {
		add(mxid.ServerOf(ev.ID))
	}
	if server, ok := authoriser(ev); ok && ev.Version.Restricted {
		add(server)
	}
	return servers
}

// fromThirdParty reports whether ev is an invite that any server in the room may
// have made of a third-party invite.
func fromThirdParty(ev *pdu.Event) bool {
	if ev.Type != typeMember || ev.Membership() != "invite" {
		return false
	}
	_, ok := ev.Get("third_party_invite")
	return ok
}

// authoriser is the server of join_authorised_via_users_server; false if ev has
// no such key. It is "" if the key holds no user id.
func authoriser(ev *pdu.Event) (mxid.ServerName, bool) {
	if ev.Type != typeMember {
		return "", false
	}
	if _, ok := ev.Get("join_authorised_via_users_server"); !ok {
		return "", false
	}
	s, _ := ev.GetString("join_authorised_via_users_server")
	user, err := mxid.ParseUserID(s)
	if err != nil {
		return "", true
	}
	return user.Server(), true
}
