package steward

import (
	"cmp"
	"context"
	"encoding/json"
	"math"

	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// The kinds of jobs.
const (
	KindDelete = "delete"
	KindPurge  = "purge"
	KindRedact = "redact"
)

// DeleteRequest says how a room is closed.
type DeleteRequest struct {
	Admin   string `json:"admin"`
	NewUser string `json:"new_user"` // makes a room that people are put into instead; "" for none
	Name    string `json:"name"`     // of that room
	Message string `json:"message"`  // said there
	Block   bool   `json:"block"`
	Purge   bool   `json:"purge"`
	// Force removes the room although somebody could not be taken out.
	Force bool `json:"force"`

	NID int64 `json:"nid"` // of the room, for after it is gone
}

// Deleted is what became of a room's people.
type Deleted struct {
	Kicked  []string `json:"kicked_users"`
	Failed  []string `json:"failed_to_kick_users"`
	Aliases []string `json:"local_aliases"`
	NewRoom *string  `json:"new_room_id"`
}

// Delete closes a room in the background and returns the id of the job. Local
// users are taken out, and the room is removed if the request says so.
func (s *Steward) Delete(ctx context.Context, roomID string, req DeleteRequest) (id string, err error) {
	if err := s.prepareDelete(ctx, roomID, &req); err != nil {
		return "", err
	}
	return s.begin(ctx, KindDelete, roomID, req)
}

// DeleteNow is Delete for those who wait.
func (s *Steward) DeleteNow(ctx context.Context, roomID string, req DeleteRequest) (*Deleted, error) {
	if err := s.prepareDelete(ctx, roomID, &req); err != nil {
		return nil, err
	}
	return s.delete(ctx, roomID, req)
}

// prepareDelete checks a request and keeps people from coming back.
func (s *Steward) prepareDelete(ctx context.Context, roomID string, req *DeleteRequest) error {
	r, err := s.Rooms.Room(ctx, roomID)
	if err != nil && (mxerr.From(err).Code != mxerr.NotFound || !req.Block) {
		return err
	}
	if r != nil {
		req.NID = r.NID
	}
	if req.Block {
		return s.Block(ctx, req.Admin, roomID, true)
	}
	return nil
}

func (s *Steward) deleteJob(ctx context.Context, j store.Job) (any, error) {
	var req DeleteRequest
	if err := json.Unmarshal(j.Request, &req); err != nil {
		return nil, err
	}
	return s.delete(ctx, j.Target, req)
}

func (s *Steward) delete(ctx context.Context, roomID string, req DeleteRequest) (*Deleted, error) {
	out := &Deleted{Kicked: []string{}, Failed: []string{}, Aliases: []string{}}
	r, err := s.Rooms.Room(ctx, roomID)
	if mxerr.From(err).Code == mxerr.NotFound && err != nil {
		// It is gone but for what an interrupted job has left.
		return out, s.Rooms.Purge(ctx, roomID, req.NID)
	}
	if err != nil {
		return nil, err
	}
	members, err := s.Rooms.Members(ctx, r, store.Join, store.Invite, store.Knock)
	if err != nil {
		return nil, err
	}
	if out.Aliases, err = s.Directory.Aliases(ctx, r); err != nil {
		return nil, err
	}
	var next *room.Room
	if req.NewUser != "" {
		if next, err = s.refuge(ctx, req); err != nil {
			return nil, err
		}
		out.NewRoom = &next.ID
	}
	for _, m := range members {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err := s.Rooms.Leave(ctx, m.User, roomID, ""); err != nil {
			out.Failed = append(out.Failed, m.User)
			continue
		}
		out.Kicked = append(out.Kicked, m.User)
		if next != nil && m.Membership == store.Join && m.User != req.NewUser {
			if err := s.Rooms.Join(ctx, m.User, next.ID, room.JoinRequest{}); err != nil {
				s.Log.WarnContext(ctx, "somebody is not put into the room that replaces theirs", "err", err)
			}
		}
	}
	if next != nil {
		if err := s.Directory.Move(ctx, r, next); err != nil {
			return nil, err
		}
	}
	if !req.Purge || len(out.Failed) > 0 && !req.Force {
		return out, nil
	}
	return out, s.Rooms.Purge(ctx, roomID, r.NID)
}

// refuge makes a room in which only its creator speaks.
func (s *Steward) refuge(ctx context.Context, req DeleteRequest) (*room.Room, error) {
	name := cmp.Or(req.Name, "Content Violation Notification")
	message := cmp.Or(req.Message, "Sharing illegal content on this server is not permitted and rooms in violation will be blocked.")
	r, err := s.Rooms.Create(ctx, req.NewUser, room.CreateRequest{
		Preset: "public_chat", Name: name, PowerLevels: map[string]json.RawMessage{"users_default": json.RawMessage("-10")},
	})
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(map[string]string{"msgtype": "m.text", "body": message})
	if err == nil {
		_, err = s.Rooms.Send(ctx, r.ID, room.Draft{Sender: req.NewUser, Type: "m.room.message", Content: content})
	}
	return r, err
}

// Place is where a purge of history ends: before an event's place in the
// timeline or, if Ord is 0, before the first event that is not older than TS.
type Place struct {
	Ord int64 `json:"ord"`
	TS  int64 `json:"ts"` // ms
}

// PurgeHistory removes the messages of a room before a place, in the background,
// and returns the id of the job.
func (s *Steward) PurgeHistory(ctx context.Context, r *room.Room, upto Place) (id string, err error) {
	return s.begin(ctx, KindPurge, r.ID, upto)
}

func (s *Steward) purgeJob(ctx context.Context, j store.Job) (any, error) {
	var upto Place
	if err := json.Unmarshal(j.Request, &upto); err != nil {
		return nil, err
	}
	r, err := s.Rooms.Room(ctx, j.Target)
	if err != nil {
		return nil, err
	}
	if upto.Ord == 0 {
		if upto.Ord, err = s.firstSince(ctx, r, upto.TS); err != nil {
			return nil, err
		}
	}
	return struct{}{}, s.Rooms.PurgeHistory(ctx, r, upto.Ord)
}

// firstSince is the place of the first event that is not older than a time.
func (s *Steward) firstSince(ctx context.Context, r *room.Room, ts int64) (int64, error) {
	for from := int64(math.MinInt64); ; {
		events, err := s.Rooms.After(ctx, r, from, math.MaxInt64, redactPage)
		if err != nil {
			return 0, err
		}
		if len(events) == 0 {
			return r.LastPos() + 1, nil
		}
		for _, ev := range events {
			if ev.OriginServerTS >= ts {
				return ev.Ord, nil
			}
		}
		from = events[len(events)-1].Ord
	}
}
