package clientapi

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"hearth/api/httpx"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// answer writes a page of what was found.
func (s *searching) answer(ctx context.Context) (httpx.Raw, error) {
	from := min(s.token.Off, len(s.found))
	page := s.found[from:min(from+s.limit, len(s.found))]
	out := []byte(`{"search_categories":{"room_events":{"count":`)
	out = strconv.AppendInt(out, int64(s.token.Base+len(s.found)), 10)
	out = append(out, `,"highlights":`...)
	words, err := json.Marshal(append([]string{}, s.words...))
	if err != nil {
		return nil, err
	}
	out = append(append(out, words...), `,"results":[`...)
	for i, res := range page {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = s.result(ctx, out, res); err != nil {
			return nil, err
		}
	}
	out = append(out, ']')
	if next := s.next(from+len(page), len(page)); next != "" {
		out = append(out, `,"next_batch":"`+next+`"`...)
	}
	out = s.groups(out, page)
	if s.IncludeState {
		if out, err = s.state(ctx, out, page); err != nil {
			return nil, err
		}
	}
	return append(out, `}}}`...), nil
}

// next is the token of the page that starts at an offset. Behind a full page
// there is one, if only to say that there is nothing.
func (s *searching) next(off, n int) string {
	t := s.token
	switch {
	case n == s.limit:
		t.Off = off
	case s.more:
		t.Upto, t.Base, t.Off = s.last-1, t.Base+len(s.found), 0
	default:
		return ""
	}
	return t.String()
}

func (s *searching) result(ctx context.Context, out []byte, res searchResult) ([]byte, error) {
	enc := s.a.encoder(ctx).Bundling(s.ignored)
	out = append(out, `{"rank":`...)
	out = strconv.AppendFloat(out, res.rank, 'f', 6, 64)
	out = append(out, `,"result":`...)
	out, err := enc.Append(ctx, out, res.sight.Room, res.sight.Viewer, res.Event)
	if err != nil {
		return nil, err
	}
	if s.Context != nil {
		if out, err = s.context(ctx, out, enc, res); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func contextLimit(n *int) int {
	if n == nil {
		return defaultContext
	}
	return min(max(*n, 0), maxSearchContext)
}

// context writes what was said around a result, the nearest first.
func (s *searching) context(ctx context.Context, out []byte, enc *feed.Encoder, res searchResult) ([]byte, error) {
	h := &history{engine: s.a.Engine, sight: res.sight, ignored: s.ignored}
	before, start, _, err := h.scan(ctx, res.Ord-1, math.MinInt64, true, contextLimit(s.Context.Before))
	if err != nil {
		return nil, err
	}
	after, end, _, err := h.scan(ctx, res.Ord, res.sight.Last, false, contextLimit(s.Context.After))
	if err != nil {
		return nil, err
	}
	out = append(out, `,"context":{"start":"`+feed.PlaceToken(start)+`","end":"`+feed.PlaceToken(end)+`","events_before":`...)
	if out, err = enc.AppendArray(ctx, out, res.sight.Room, res.sight.Viewer, before); err != nil {
		return nil, err
	}
	out = append(out, `,"events_after":`...)
	if out, err = enc.AppendArray(ctx, out, res.sight.Room, res.sight.Viewer, after); err != nil {
		return nil, err
	}
	if s.Context.Profile {
		if out, err = s.profiles(ctx, out, res.sight.Room, append(append([]*room.Event{res.Event}, before...), after...)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// profiles writes how those who sent events called themselves then.
func (s *searching) profiles(ctx context.Context, out []byte, r *room.Room, events []*room.Event) ([]byte, error) {
	members, err := s.a.senders(ctx, r, events)
	if err != nil {
		return nil, err
	}
	out = append(out, `,"profile_info":{`...)
	for i, ev := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = canonjson.Quote(out, *ev.StateKey)
		out = append(out, `:{`...)
		some := false
		for _, field := range []string{"avatar_url", "displayname"} {
			v, ok := ev.GetString(field)
			if !ok {
				continue
			}
			if some {
				out = append(out, ',')
			}
			some = true
			out = append(out, `"`+field+`":`...)
			out = canonjson.Quote(out, v)
		}
		out = append(out, '}')
	}
	return append(out, '}'), nil
}

// groups writes which results of the page are in which group.
func (s *searching) groups(out []byte, page []searchResult) []byte {
	if len(s.Groupings.GroupBy) == 0 {
		return out
	}
	type group struct {
		Results []string `json:"results"`
		Order   int      `json:"order"`
		Next    string   `json:"next_batch,omitempty"`
	}
	all := map[string]map[string]*group{}
	for _, g := range s.Groupings.GroupBy {
		groups := map[string]*group{}
		for _, res := range page {
			name := groupOf(g.Key, res.Event)
			if groups[name] == nil {
				groups[name] = &group{Order: len(groups)}
			}
			groups[name].Results = append(groups[name].Results, res.ID)
		}
		for name, gr := range groups {
			t := s.token
			t.Key, t.Value, t.Off = g.Key, name, s.seenOf(g.Key, name, page)
			if t.Off < s.sizeOf(g.Key, name) || s.more {
				gr.Next = t.String()
			}
		}
		all[g.Key] = groups
	}
	raw, err := json.Marshal(all)
	if err != nil { // strings and numbers always marshal
		return out
	}
	return append(append(out, `,"groups":`...), raw...)
}

// seenOf counts the results of a group up to the end of the page.
func (s *searching) seenOf(key, name string, page []searchResult) (n int) {
	end := min(s.token.Off, len(s.found)) + len(page)
	for _, res := range s.found[:end] {
		if groupOf(key, res.Event) == name {
			n++
		}
	}
	return n
}

func (s *searching) sizeOf(key, name string) (n int) {
	for _, res := range s.found {
		if groupOf(key, res.Event) == name {
			n++
		}
	}
	return n
}

// state writes the current state of each room on the page.
func (s *searching) state(ctx context.Context, out []byte, page []searchResult) ([]byte, error) {
	out = append(out, `,"state":{`...)
	seen := map[int64]bool{}
	for _, res := range page {
		if seen[res.Room] {
			continue
		}
		if len(seen) > 0 {
			out = append(out, ',')
		}
		seen[res.Room] = true
		state, err := s.a.Engine.State(ctx, res.sight.Room, res.sight.State, nil)
		if err != nil {
			return nil, err
		}
		out = canonjson.Quote(out, res.sight.Room.ID)
		out = append(out, ':')
		if out, err = s.a.encoder(ctx).AppendState(ctx, out, res.sight.Room, state); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}
