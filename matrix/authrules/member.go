package authrules

import "hearth/matrix/canonjson"

// member is rule 5.
func (c *check) member() error {
	ev := c.ev
	// 5.1
	raw, ok := ev.Get("membership")
	if ev.StateKey == nil || !ok {
		return ErrMemberForm
	}
	// 5.2, from version 8 on. Whether the signature is valid is for the caller,
	// who has the keys; see Signers.
	if server, ok := authoriser(ev); ok && c.v.Restricted && len(ev.KeyIDs(server)) == 0 {
		return ErrNotCosigned
	}
	if !canonjson.IsString(raw) {
		return ErrMembership
	}
	switch target := *ev.StateKey; ev.Membership() {
	case "join":
		return c.join(target)
	case "invite":
		return c.invite(target)
	case "leave":
		return c.leave(target)
	case "ban":
		return c.ban(target)
	case "knock":
		if c.v.Knock {
			return c.knock(target)
		}
	}
	// 5.8
	return ErrMembership
}

// join is rule 5.3.
func (c *check) join(target string) error {
	ev := c.ev
	// 5.3.1
	if len(ev.PrevEvents) == 1 && ev.PrevEvents[0] == c.create.ID && target == Creators(c.create)[0] {
		return nil
	}
	// 5.3.2
	if ev.Sender != target {
		return ErrJoinOther
	}
	// 5.3.3
	current := c.membership(target)
	if current == "ban" {
		return ErrJoinBanned
	}
	in := current == "invite" || current == "join"
	switch rule := c.joinRule(); {
	// 5.3.4
	case rule == "invite", rule == "knock" && c.v.Knock:
		if !in {
			return ErrJoinNotInvited
		}
		return nil
	// 5.3.5
	case rule == "restricted" && c.v.Restricted, rule == "knock_restricted" && c.v.KnockRestricted:
		if !in && !c.vouchedFor() {
			return ErrJoinNotAuthorised
		}
		return nil
	// 5.3.6
	case rule == "public":
		return nil
	}
	// 5.3.7
	return ErrJoinRule
}

// joinRule is the room's join rule; without one, it is "invite"
// (client-server-api/#mroomjoin_rules).
func (c *check) joinRule() string {
	if ev := c.st(typeJoinRules, ""); ev != nil {
		if rule, ok := ev.GetString("join_rule"); ok {
			return rule
		}
	}
	return "invite"
}

// vouchedFor is rule 5.3.5.2.
func (c *check) vouchedFor() bool {
	user, ok := c.ev.GetString("join_authorised_via_users_server")
	return ok && c.membership(user) == "join" && c.levels().User(user) >= c.levels().Invite
}

// invite is rule 5.4.
func (c *check) invite(target string) error {
	// 5.4.1
	if tp, ok := c.ev.Get("third_party_invite"); ok {
		return c.thirdPartyInvite(target, tp)
	}
	// 5.4.2
	if c.membership(c.ev.Sender) != "join" {
		return ErrInviteNotJoined
	}
	// 5.4.3
	if m := c.membership(target); m == "join" || m == "ban" {
		return ErrInviteMember
	}
	// 5.4.4, 5.4.5
	if lv := c.levels(); lv.User(c.ev.Sender) < lv.Invite {
		return ErrInviteLevel
	}
	return nil
}

// leave is rule 5.5: leaving, declining an invite, kicking and unbanning.
func (c *check) leave(target string) error {
	current := c.membership(target)
	// 5.5.1
	if c.ev.Sender == target {
		if current == "invite" || current == "join" || current == "knock" && c.v.Knock {
			return nil
		}
		return ErrLeaveNotIn
	}
	// 5.5.2
	if c.membership(c.ev.Sender) != "join" {
		return ErrKickNotJoined
	}
	lv := c.levels()
	power := lv.User(c.ev.Sender)
	// 5.5.3
	if current == "ban" && power < lv.Ban {
		return ErrUnbanLevel
	}
	// 5.5.4, 5.5.5
	if power < lv.Kick || lv.User(target) >= power {
		return ErrKickLevel
	}
	return nil
}

// ban is rule 5.6.
func (c *check) ban(target string) error {
	// 5.6.1
	if c.membership(c.ev.Sender) != "join" {
		return ErrBanNotJoined
	}
	// 5.6.2, 5.6.3
	lv := c.levels()
	if power := lv.User(c.ev.Sender); power < lv.Ban || lv.User(target) >= power {
		return ErrBanLevel
	}
	return nil
}

// knock is rule 5.7.
func (c *check) knock(target string) error {
	// 5.7.1
	if rule := c.joinRule(); rule != "knock" && (rule != "knock_restricted" || !c.v.KnockRestricted) {
		return ErrKnockRule
	}
	// 5.7.2
	if c.ev.Sender != target {
		return ErrKnockOther
	}
	// 5.7.3, 5.7.4
	switch c.membership(target) {
	case "ban", "invite", "join":
		return ErrKnockMember
	}
	return nil
}
