package authrules

import (
	"hearth/matrix/mxid"
)

// powerLevels is rule 10. power is the sender's level in the current state.
func (c *check) powerLevels(power int64) error {
	next := levelsOf(c.ev)
	// 10.1, 10.2. Before version 10 the rules do not say what becomes of values
	// that are neither integers nor strings with one; they are refused, as nobody
	// could act on them.
	if next.badValue {
		return ErrLevelsValue
	}
	// 10.3
	if next.badUsers {
		return ErrLevelsUsers
	}
	for id := range next.users {
		if _, err := mxid.ParseUserID(id); err != nil {
			return ErrLevelsUsers
		}
	}
	// 10.4
	if c.v.PrivilegedCreators {
		for _, id := range Creators(c.create) {
			if _, ok := next.users[id]; ok {
				return ErrLevelsCreator
			}
		}
	}
	// 10.5
	old := c.levels().content
	if old == nil {
		return nil
	}
	// 10.6
	for i := range fieldCount {
		if changed(old.fields[i], old.has[i], next.fields[i], next.has[i]) &&
			(old.has[i] && old.fields[i] > power || next.has[i] && next.fields[i] > power) {
			return ErrLevelsChange
		}
	}
	// 10.7, 10.8. Notifications count from version 6 on.
	if mapTouchesAbove(old.events, next.events, power) ||
		c.v.NotificationLevels && mapTouchesAbove(old.notifications, next.notifications, power) {
		return ErrLevelsChange
	}
	return c.userLevels(old, next, power)
}

func changed(old int64, hadOld bool, next int64, hasNext bool) bool {
	return hadOld != hasNext || old != next
}

// mapTouchesAbove reports whether an entry was added, changed or removed whose
// old or new value is above power.
func mapTouchesAbove(old, next map[string]int64, power int64) bool {
	for key, o := range old {
		if n, ok := next[key]; changed(o, true, n, ok) && o > power {
			return true
		}
	}
	for key, n := range next {
		if o, ok := old[key]; changed(o, ok, n, true) && n > power {
			return true
		}
	}
	return false
}

// userLevels is rules 10.9 and 10.10.
func (c *check) userLevels(old, next *levels, power int64) error {
	for id, o := range old.users {
		if n, ok := next.users[id]; changed(o, true, n, ok) && id != c.ev.Sender && o >= power {
			return ErrLevelsPeer
		}
	}
	for id, n := range next.users {
		if o, ok := old.users[id]; changed(o, ok, n, true) && n > power {
			return ErrLevelsRaise
		}
	}
	return nil
}
