package feed

import (
	"context"
	"strconv"

	"hearth/homeserver/relation"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// Bundling makes the encoder write with each event what is known of its
// children, without those of ignored people
// (client-server-api/#aggregations-of-child-events).
func (x *Encoder) Bundling(ignored map[string]bool) *Encoder {
	x.bundle, x.ignored = true, ignored
	return x
}

func (x *Encoder) bundles(ctx context.Context, r *room.Room, v *room.Viewer, events []*room.Event) (map[int64]*relation.Bundle, error) {
	if !x.bundle || v == nil {
		return nil, nil
	}
	return (&relation.Reader{Rooms: x.e, Room: r, Viewer: v, User: x.user, Ignored: x.ignored}).Bundles(ctx, events)
}

// relations is the JSON of a bundle.
func (x *Encoder) relations(v *room.Viewer, b *relation.Bundle) (dst []byte, err error) {
	dst = append(dst, '{')
	name := func(s string) {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), s...), `":`...)
	}
	if b.References != nil {
		name(room.RelReference)
		dst = append(dst, `{"chunk":[`...)
		for i, id := range b.References {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"event_id":`...)
			dst = append(canonjson.Quote(dst, id), '}')
		}
		dst = append(dst, `]}`...)
	}
	if b.Replace != nil {
		name(room.RelReplace)
		if dst, err = x.append(dst, v, b.Replace, beside{}); err != nil {
			return dst, err
		}
	}
	if t := b.Thread; t != nil {
		name(room.RelThread)
		dst = append(dst, `{"count":`...)
		dst = strconv.AppendInt(dst, t.Count, 10)
		dst = append(dst, `,"current_user_participated":`...)
		dst = strconv.AppendBool(dst, t.Participated)
		dst = append(dst, `,"latest_event":`...)
		if dst, err = x.append(dst, v, t.Latest, beside{bundle: t.Bundle}); err != nil {
			return dst, err
		}
		dst = append(dst, '}')
	}
	return append(dst, '}'), nil
}
