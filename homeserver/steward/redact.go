package steward

import (
	"context"
	"encoding/json"
	"math"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// RedactRequest says what of a user's to take back.
type RedactRequest struct {
	Rooms    []string `json:"rooms"` // ids; empty for all that the user is in
	Reason   string   `json:"reason"`
	Limit    int      `json:"limit"`     // in each room, the newest first; 0 for all
	UseAdmin string   `json:"use_admin"` // who redacts; "" for the user
	After    int64    `json:"after"`     // ms
	Before   int64    `json:"before"`    // ms, 0 for no end
}

// Redacted is what could not be taken back, by event id.
type Redacted struct {
	Failed map[string]string `json:"failed_redactions"`
}

const (
	// redactPage is how many events are read at a time.
	redactPage = 500
	// maxFailed bounds what is told of failures.
	maxFailed = 1000
)

// Redact takes back what a user said, in the background, and returns the id of
// the job.
func (s *Steward) Redact(ctx context.Context, user string, req RedactRequest) (id string, err error) {
	return s.begin(ctx, KindRedact, user, req)
}

func (s *Steward) redactJob(ctx context.Context, j store.Job) (any, error) {
	var req RedactRequest
	if err := json.Unmarshal(j.Request, &req); err != nil {
		return nil, err
	}
	rooms := req.Rooms
	if len(rooms) == 0 {
		members, err := s.Rooms.RoomsOf(ctx, j.Target)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			r, err := s.Rooms.RoomByNID(ctx, m.Room)
			if err != nil {
				return nil, err
			}
			rooms = append(rooms, r.ID)
		}
	}
	out := &Redacted{Failed: map[string]string{}}
	for _, id := range rooms {
		r, err := s.Rooms.Room(ctx, id)
		if mxerr.From(err).Code == mxerr.NotFound && err != nil {
			continue
		}
		if err == nil {
			err = s.redactIn(ctx, r, j.Target, req, out)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// redactIn goes back through a room's timeline.
func (s *Steward) redactIn(ctx context.Context, r *room.Room, user string, req RedactRequest, out *Redacted) error {
	by := req.UseAdmin
	if by == "" {
		by = user
	}
	content, err := json.Marshal(map[string]string{"reason": req.Reason})
	if err != nil {
		return err
	}
	if req.Reason == "" {
		content = []byte("{}")
	}
	n := 0
	for from := int64(math.MaxInt64); ; {
		events, err := s.Rooms.Before(ctx, r, from, math.MinInt64, redactPage)
		if err != nil || len(events) == 0 {
			return err
		}
		from = events[len(events)-1].Ord
		for _, ev := range events {
			if ev.Sender != user || !said(ev) || ev.RedactedBy != 0 {
				continue
			}
			if ts := ev.OriginServerTS; ts < req.After || req.Before != 0 && ts > req.Before {
				continue
			}
			if n++; req.Limit > 0 && n > req.Limit {
				return nil
			}
			if _, err := s.Rooms.Send(ctx, r.ID, room.Draft{Sender: by, Type: "m.room.redaction", Redacts: ev.ID, Content: content}); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if len(out.Failed) < maxFailed {
					out.Failed[ev.ID] = mxerr.From(err).Text
				}
			}
		}
	}
}

// said reports whether an event shows others what its sender wrote: messages, and
// the name and picture somebody joined under. Other state stays, so that the room
// goes on as it was.
func said(ev *room.Event) bool {
	if ev.StateKey == nil {
		return ev.Type != "m.room.redaction"
	}
	membership, _ := canonjson.GetString(ev.Content, "membership")
	return ev.Type == "m.room.member" && membership == "join"
}
