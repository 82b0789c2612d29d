package push

import (
	"context"

	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/pushrule"
)

// Follow gives a user the same settings in the room that replaces another: the
// push rule for the room, and its tags. m.direct is left to clients, who keep it.
func (c *Counter) Follow(ctx context.Context, user string, from, to *room.Room) error {
	rs, err := c.Personal.Rules(ctx, user)
	if err != nil {
		return err
	}
	if rule, err := rs.Get(pushrule.Room, from.ID); err == nil && !rule.Default {
		if _, err := rs.Get(pushrule.Room, to.ID); err != nil {
			err := c.Personal.ChangeRules(ctx, user, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
				return rs.Put(pushrule.Room, to.ID, pushrule.Draft{Actions: &rule.Actions}, pushrule.Place{})
			})
			if err != nil {
				return err
			}
		}
	}
	tags, err := c.Personal.Tags(ctx, user, from.NID)
	if err != nil || len(tags) == 0 {
		return err
	}
	have, err := c.Personal.Tags(ctx, user, to.NID)
	if err != nil {
		return err
	}
	for tag, content := range tags {
		if _, ok := have[tag]; ok || !canonjson.IsObject(content) {
			continue
		}
		if err := c.Personal.SetTag(ctx, user, to.NID, tag, content); err != nil {
			return err
		}
	}
	return nil
}
