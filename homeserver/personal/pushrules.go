package personal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/pushrule"
)

// Rules returns a user's push rules in force.
func (e *Engine) Rules(ctx context.Context, user string) (pushrule.Ruleset, error) {
	row, err := e.row(ctx, user, 0, TypePushRules)
	if errors.Is(err, db.ErrNoRow) {
		return pushrule.Defaults(user), nil
	}
	if err != nil {
		return pushrule.Ruleset{}, err
	}
	return parseRules(row.Content, user)
}

// ChangeRules stores what change makes of a user's push rules, and returns its
// error as it is. change may be called more than once.
func (e *Engine) ChangeRules(ctx context.Context, user string, change func(pushrule.Ruleset) (pushrule.Ruleset, error)) error {
	return e.write(ctx, user, 0, TypePushRules, func(_ *db.Tx, old *store.AccountData) ([]byte, error) {
		rs := pushrule.Defaults(user)
		if old != nil {
			var err error
			if rs, err = parseRules(old.Content, user); err != nil {
				return nil, err
			}
		}
		rs, err := change(rs)
		if err != nil {
			return nil, err
		}
		return json.Marshal(pushrule.Store(rs, user))
	})
}

// parseRules reads what ChangeRules stored.
func parseRules(content []byte, user string) (pushrule.Ruleset, error) {
	var s pushrule.Stored
	if err := json.Unmarshal(content, &s); err != nil {
		return pushrule.Ruleset{}, fmt.Errorf("stored push rules of %s: %w", user, err)
	}
	return s.Apply(user), nil
}

// showRules is the form in which clients see push rules
// (client-server-api/#mpush_rules).
func showRules(rs pushrule.Ruleset) (json.RawMessage, error) {
	return json.Marshal(struct {
		Global pushrule.Ruleset `json:"global"`
	}{rs})
}
