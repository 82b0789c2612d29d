package feed

import (
	"context"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// maxHeroes: client-server-api/#calculating-the-display-name-for-a-room
const maxHeroes = 5

// heroList are the first members of a room, one more than anybody is shown,
// since nobody is shown themselves.
type heroList struct {
	state   int64 // root of the state that they were read at
	present []string
	gone    []string // only if nobody but one is present
}

// Heroes are the members after whom a room without a name is called: those who
// are or may come, else those who were there.
func (f *Feed) Heroes(ctx context.Context, r *room.Room, but string) ([]string, error) {
	list, err := f.heroList(ctx, r)
	if err != nil {
		return nil, err
	}
	isBut := func(u string) bool { return u == but }
	heroes := slices.DeleteFunc(slices.Clone(list.present), isBut)
	if len(heroes) == 0 {
		heroes = slices.DeleteFunc(slices.Clone(list.gone), isBut)
	}
	return heroes[:min(len(heroes), maxHeroes)], nil
}

// heroList reads the first members once per state of the room.
func (f *Feed) heroList(ctx context.Context, r *room.Room) (*heroList, error) {
	state := r.Current().State
	if list, ok := r.Note().(*heroList); ok && list.state == state {
		return list, nil
	}
	list := &heroList{state: state}
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if list.present, err = firstOf(tx, r.NID, store.Join, store.Invite); err != nil || len(list.present) > 1 {
			return err
		}
		list.gone, err = firstOf(tx, r.NID, store.Leave, store.Ban)
		return err
	})
	if err == nil {
		r.SetNote(list)
	}
	return list, err
}

func firstOf(tx *db.Tx, room int64, in ...store.Membership) ([]string, error) {
	var out []string
	for _, m := range in {
		users, err := store.FirstMembers(tx, room, m, maxHeroes+1-len(out))
		if err != nil {
			return nil, err
		}
		if out = append(out, users...); len(out) > maxHeroes {
			break
		}
	}
	return out, nil
}
