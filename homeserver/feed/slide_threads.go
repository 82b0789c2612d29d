package feed

import (
	"context"
	"slices"
	"strconv"

	"hearth/base/store"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// SlideThreads turns on the threads that the user follows (MSC4308).
type SlideThreads struct {
	Enabled bool `json:"enabled"`
	Limit   *int `json:"limit"`
}

// Bounds of the changed subscriptions of one answer; clients page back through
// the rest.
const (
	DefaultThreads = 100
	MaxThreads     = 500
)

// threads writes which threads the user follows, or does no more (MSC4308).
func (b *slide) threads(start int) error {
	x := b.req.Extensions.Threads
	if !x.Enabled || b.f.Push == nil {
		return nil
	}
	after := int64(0)
	if !b.fresh() {
		after = b.c.base.at.Pos
	}
	limit := DefaultThreads
	if x.Limit != nil {
		limit = min(max(*x.Limit, 1), MaxThreads)
	}
	undo := len(b.out)
	b.open(start, "io.element.msc4308.thread_subscriptions")
	out, some, err := b.f.AppendThreads(b.ctx, b.out, "prev_batch", b.u.id, after, b.now.Pos, limit)
	b.out = out
	if err != nil || !some {
		b.out = b.out[:undo]
		return err
	}
	b.some = true
	return nil
}

// AppendThreads appends up to limit of the subscriptions to threads that a user
// changed at positions in (after, upto], the newest. If there are more, the member
// rest says where they go on. It reports whether there were any. Who starts from
// nothing is not told what was ended.
func (f *Feed) AppendThreads(ctx context.Context, out []byte, rest, user string, after, upto int64, limit int) (_ []byte, some bool, err error) {
	all, err := f.Push.Subscriptions(ctx, user, after, upto, limit+1)
	if err != nil {
		return out, false, err
	}
	more := len(all) > limit
	if more {
		all = all[:limit]
	}
	news := map[bool]map[string][]store.ThreadSubscription{true: {}, false: {}}
	for _, s := range all {
		if after == 0 && !s.Subscribed {
			continue
		}
		r, err := f.Rooms.RoomByNID(ctx, s.Room)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				continue // purged
			}
			return out, false, err
		}
		news[s.Subscribed][r.ID] = append(news[s.Subscribed][r.ID], s)
	}
	out = append(out, '{')
	first := len(out)
	for _, on := range []bool{true, false} {
		if len(news[on]) > 0 {
			out = openMember(out, first, map[bool]string{true: "subscribed", false: "unsubscribed"}[on])
			out = appendSubscriptions(out, news[on], on)
		}
	}
	if more {
		out = openMember(out, first, rest)
		out = canonjson.Quote(out, PlaceToken(all[limit-1].Pos-1))
	}
	some = len(out) > first
	return append(out, '}'), some, nil
}

// openMember begins a member of an object whose members start at start.
func openMember(out []byte, start int, name string) []byte {
	if len(out) > start {
		out = append(out, ',')
	}
	return append(canonjson.Quote(out, name), ':')
}

func appendSubscriptions(out []byte, rooms map[string][]store.ThreadSubscription, on bool) []byte {
	out = append(out, '{')
	start := len(out)
	for _, id := range sortedKeys(rooms) {
		out = append(openMember(out, start, id), '{')
		roots := len(out)
		for _, s := range slices.Backward(rooms[id]) {
			out = append(openMember(out, roots, s.Root), '{')
			if on {
				out = append(strconv.AppendBool(append(out, `"automatic":`...), s.Automatic), ',')
			}
			out = append(strconv.AppendInt(append(out, `"bump_stamp":`...), s.Pos, 10), '}')
		}
		out = append(out, '}')
	}
	return append(out, '}')
}
