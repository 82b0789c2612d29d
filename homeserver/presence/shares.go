package presence

import "context"

// Shares reports whether viewer may know of a user's presence: it is their own,
// or they are in the same room. With presence off nobody may know of anybody.
func (e *Engine) Shares(ctx context.Context, viewer, user string) (bool, error) {
	if viewer == user {
		return true, nil
	}
	if !e.Config.Enabled {
		return false, nil
	}
	return e.Rooms.Share(ctx, viewer, user)
}
