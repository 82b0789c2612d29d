package feed

import (
	"strconv"

	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// maxThreadNews bounds the changed subscriptions of one response. The client's
// own limit is for paging back through the rest, which this server does not do.
const maxThreadNews = 1000

// threads writes which threads the user follows, or does no more (MSC4308).
func (b *slide) threads(start int) error {
	if !b.req.Extensions.Threads.Enabled || b.f.Push == nil {
		return nil
	}
	after := int64(0)
	if !b.fresh() {
		after = b.c.base.at.Pos
	}
	all, err := b.f.Push.Subscriptions(b.ctx, b.u.id, after, b.now.Pos, maxThreadNews)
	if err != nil {
		return err
	}
	news := map[bool]map[string][]store.ThreadSubscription{true: {}, false: {}}
	for _, s := range all {
		if after == 0 && !s.Subscribed {
			continue
		}
		r, err := b.f.Rooms.RoomByNID(b.ctx, s.Room)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				continue // purged
			}
			return err
		}
		news[s.Subscribed][r.ID] = append(news[s.Subscribed][r.ID], s)
	}
	if len(news[true])+len(news[false]) == 0 {
		return nil
	}
	b.some = true
	b.open(start, "io.element.msc4308.thread_subscriptions")
	b.out = append(b.out, '{')
	first := len(b.out)
	for _, on := range []bool{true, false} {
		if len(news[on]) == 0 {
			continue
		}
		b.open(first, map[bool]string{true: "subscribed", false: "unsubscribed"}[on])
		b.out = append(b.out, '{')
		rooms := len(b.out)
		for id, list := range news[on] {
			b.open(rooms, id)
			b.out = append(b.out, '{')
			roots := len(b.out)
			for _, s := range list {
				b.open(roots, s.Root)
				b.out = append(b.out, '{')
				if on {
					b.out = append(strconv.AppendBool(append(b.out, `"automatic":`...), s.Automatic), ',')
				}
				b.out = append(strconv.AppendInt(append(b.out, `"bump_stamp":`...), s.Pos, 10), '}')
			}
			b.out = append(b.out, '}')
		}
		b.out = append(b.out, '}')
	}
	b.out = append(b.out, '}')
	return nil
}
