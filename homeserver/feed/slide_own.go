package feed

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"hearth/base/store"
	"hearth/homeserver/personal"
)

// ownData is what a user's account data says about rooms. It never changes.
type ownData struct {
	upto   int64              // position up to which it is complete
	direct map[string]bool    // ids of direct chats
	tags   map[int64][]string // by room
}

// ownData reads a user's account data the first time, and what changed since
// after that.
func (f *Feed) ownData(ctx context.Context, u *user, upto int64) (*ownData, error) {
	old := u.own.Load()
	if old != nil && (old.upto >= upto || old.upto >= f.Personal.LastPos(u.id)) {
		return old, nil
	}
	if old == nil {
		old = &ownData{}
	}
	changes, err := f.Personal.Since(ctx, u.id, old.upto, upto)
	if err != nil {
		return nil, err
	}
	now := &ownData{upto: upto, direct: old.direct, tags: maps.Clone(old.tags)}
	if now.tags == nil {
		now.tags = map[int64][]string{}
	}
	for _, d := range changes {
		now.add(d)
	}
	u.own.Store(now)
	return now, nil
}

func (o *ownData) add(d store.AccountData) {
	switch {
	case d.Room == 0 && d.Type == "m.direct":
		o.direct = directRooms(d.Content)
	case d.Room != 0 && d.Type == personal.TypeTag:
		var content struct {
			Tags map[string]json.RawMessage `json:"tags"`
		}
		// Any client may store something else: that counts as no tags.
		if json.Unmarshal(d.Content, &content) != nil || len(content.Tags) == 0 {
			delete(o.tags, d.Room)
			return
		}
		o.tags[d.Room] = slices.Collect(maps.Keys(content.Tags))
	}
}

// directRooms: client-server-api/#mdirect
func directRooms(content []byte) map[string]bool {
	var people map[string]json.RawMessage
	if json.Unmarshal(content, &people) != nil {
		return nil
	}
	out := map[string]bool{}
	for _, raw := range people {
		var rooms []string
		if json.Unmarshal(raw, &rooms) != nil {
			continue
		}
		for _, id := range rooms {
			out[id] = true
		}
	}
	return out
}
