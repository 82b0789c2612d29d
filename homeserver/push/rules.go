package push

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"

	"hearth/base/store"
	"hearth/matrix/pushrule"
)

// maxRules bounds the users whose compiled rules are kept, of about 6 kB each where
// no two are equal.
const maxRules = 2000

// compiled is a user's push rules made ready.
type compiled struct {
	rules     *pushrule.Rules
	wantsName bool // some rule asks for the user's display name
	same      sameRules
}

// sameRules is equal for users whose rules are.
type sameRules [sha256.Size]byte

// ruleCache keeps compiled rules by user. Most people have the default rules:
// equal ones are kept once.
type ruleCache struct {
	mu      sync.Mutex
	byUser  map[string]compiled
	all     map[sameRules]*pushrule.Rules
	changes int64 // counts what may have made something old
}

func newRuleCache() *ruleCache {
	return &ruleCache{byUser: map[string]compiled{}, all: map[sameRules]*pushrule.Rules{}}
}

func (rc *ruleCache) get(user string) (own compiled, changes int64, ok bool) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	own, ok = rc.byUser[user]
	return own, rc.changes, ok
}

// put keeps rules unless some have changed since they were read.
func (rc *ruleCache) put(user string, own compiled, changes int64) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.changes != changes {
		return
	}
	if len(rc.byUser) >= maxRules || len(rc.all) >= maxRules {
		clear(rc.byUser)
		clear(rc.all)
	}
	rc.byUser[user] = own
	rc.all[own.same] = own.rules
}

// like returns the compiled rules of somebody whose rules are the same, or nil.
func (rc *ruleCache) like(same sameRules) *pushrule.Rules {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.all[same]
}

func (rc *ruleCache) forget(user string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	delete(rc.byUser, user)
	rc.changes++
}

func (c *Counter) rulesOf(ctx context.Context, user string) (compiled, error) {
	own, changes, ok := c.rules.get(user)
	if ok {
		return own, nil
	}
	rs, err := c.Personal.Rules(ctx, user)
	if err != nil {
		return compiled{}, err
	}
	text, err := json.Marshal(pushrule.Store(rs, user))
	if err != nil {
		return compiled{}, err
	}
	own = compiled{wantsName: wantsName(rs), same: sha256.Sum256(text)}
	if equal := c.rules.like(own.same); equal != nil {
		own.rules = equal.For(user)
	} else {
		own.rules = pushrule.Compile(rs, user)
	}
	c.rules.put(user, own, changes)
	return own, nil
}

func wantsName(rs pushrule.Ruleset) bool {
	asks := func(r pushrule.Rule) bool {
		return r.Enabled && slices.ContainsFunc(r.Conditions, func(c pushrule.Condition) bool { return c.Kind == "contains_display_name" })
	}
	return slices.ContainsFunc(rs.Override, asks) || slices.ContainsFunc(rs.Underride, asks)
}

// Rules returns a user's push rules.
func (c *Counter) Rules(ctx context.Context, user string) (pushrule.Ruleset, error) {
	return c.Personal.Rules(ctx, user)
}

// ChangeRules stores what change makes of a user's push rules, and returns its
// error as it is. What came before is counted by the old rules. change may be
// called more than once.
func (c *Counter) ChangeRules(ctx context.Context, user string, change func(pushrule.Ruleset) (pushrule.Ruleset, error)) error {
	rs, err := c.Personal.Rules(ctx, user)
	if err != nil {
		return err
	}
	if _, err := change(rs); err != nil {
		return err
	}
	if err := c.settle(ctx, user); err != nil {
		return err
	}
	return c.Personal.ChangeRules(ctx, user, change)
}

// settle counts what has happened in all rooms of a user.
func (c *Counter) settle(ctx context.Context, user string) error {
	members, err := c.Rooms.RoomsOf(ctx, user)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Membership != store.Join {
			continue
		}
		r, err := c.Rooms.RoomByNID(ctx, m.Room)
		if err != nil {
			return err
		}
		if _, err := c.Counts(ctx, r, user, r.LastPos()); err != nil {
			return err
		}
	}
	return nil
}
