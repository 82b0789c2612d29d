// Package notice is how the server and its people talk to each other: notices
// that the server sends into a room of its own with each user
// (client-server-api/#server-notices), and reports that users make to the
// operator (client-server-api/#reporting-content).
package notice

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Localpart is the name by which the server speaks; nobody may register it.
const Localpart = "_server"

// tag marks the room for clients.
const tag = "m.server_notice"

// Config is what an Engine needs from the rest of the server.
type Config struct {
	DB       *db.DB
	Rooms    *room.Engine
	Personal *personal.Engine
}

// Engine sends notices and keeps reports.
type Engine struct{ Config }

// New returns an Engine. Nothing runs in the background.
func New(c Config) *Engine { return &Engine{c} }

// Speaker is the user who sends notices.
func (e *Engine) Speaker() string { return string(mxid.NewUserID(Localpart, e.Rooms.Server)) }

// Notice is an event that the server sends to a user.
type Notice struct {
	User     string
	Type     string
	StateKey *string
	Content  json.RawMessage
	Admin    string // who sends it
	TxnID    string // of that administrator, "" for none
}

// Send sends a notice into the user's room, which is made for the first one, and
// invites the user if they have left it.
func (e *Engine) Send(ctx context.Context, n Notice) (eventID string, err error) {
	id, err := e.roomFor(ctx, n.User)
	if err != nil {
		return "", err
	}
	ev, err := e.Rooms.Send(ctx, id, room.Draft{
		Sender: e.Speaker(), Type: n.Type, StateKey: n.StateKey, Content: n.Content, Device: n.Admin, TxnID: n.TxnID,
	})
	if err != nil {
		return "", err
	}
	return ev.ID, nil
}

func (e *Engine) roomFor(ctx context.Context, user string) (id string, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = store.NoticeRoom(tx, user)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return e.makeRoom(ctx, user)
	}
	if err != nil {
		return "", err
	}
	m, err := e.Rooms.Membership(ctx, id, user)
	if err != nil {
		return "", err
	}
	switch speaker, err := e.Rooms.Membership(ctx, id, e.Speaker()); {
	case err != nil:
		return "", err
	case speaker != store.Join: // the room is gone
		return e.makeRoom(ctx, user)
	case m == store.Join || m == store.Invite:
		return id, nil
	}
	if err := e.Rooms.Invite(ctx, e.Speaker(), id, user, ""); err != nil {
		return "", err
	}
	return id, e.mark(ctx, user, id)
}

func (e *Engine) makeRoom(ctx context.Context, user string) (string, error) {
	r, err := e.Rooms.Create(ctx, e.Speaker(), room.CreateRequest{
		Preset: "private_chat", Name: "Server Notices", Invite: []string{user},
		PowerLevels: map[string]json.RawMessage{"users_default": json.RawMessage("-10")},
	})
	if err != nil {
		return "", err
	}
	if err := e.DB.Write(ctx, func(tx *db.Tx) error { return store.SetNoticeRoom(tx, user, r.ID) }); err != nil {
		return "", err
	}
	return r.ID, e.mark(ctx, user, r.ID)
}

// mark gives the room the tag that tells clients what it is.
func (e *Engine) mark(ctx context.Context, user, roomID string) error {
	r, err := e.Rooms.Room(ctx, roomID)
	if err != nil {
		return err
	}
	return e.Personal.SetTag(ctx, user, r.NID, tag, json.RawMessage(`{}`))
}

// MayLeave refuses to decline the invite to a room of the server's own notices.
func (e *Engine) MayLeave(ctx context.Context, user, roomID string) error {
	m, err := e.Rooms.Membership(ctx, roomID, user)
	if err != nil || m != store.Invite {
		return err
	}
	var is bool
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		is, err = store.IsNoticeRoom(tx, roomID)
		return err
	})
	if err == nil && is {
		err = mxerr.New(mxerr.CannotLeaveNoticeRoom, "You cannot reject this invite")
	}
	return err
}

const (
	// maxReason bounds what a report says, in bytes.
	maxReason = 4096
	// maxReports bounds the reports of one user that wait for the operator.
	maxReports = 1000
)

// Report keeps what a user reports. Errors: M_TOO_LARGE, and M_LIMIT_EXCEEDED
// for users who have reported too much.
func (e *Engine) Report(ctx context.Context, r store.Report) error {
	if len(r.Reason) > maxReason {
		return mxerr.New(mxerr.TooLarge, "The reason is longer than %d bytes", maxReason)
	}
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := store.CountReportsOf(tx, r.Reporter)
		if err != nil {
			return err
		}
		if n >= maxReports {
			return mxerr.New(mxerr.LimitExceeded, "The operator has not seen %d of your reports yet", n)
		}
		r.ID, r.At = tx.NextPos(), time.Now().UnixMilli()
		return store.AddReport(tx, r)
	})
}

// Reports returns a page of reports, and how many there are.
func (e *Engine) Reports(ctx context.Context, f store.ReportFilter) (page []store.Report, total int64, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		page, total, err = store.Reports(tx, f)
		return err
	})
	return page, total, err
}

// ReportByID returns a report, or M_NOT_FOUND.
func (e *Engine) ReportByID(ctx context.Context, kind string, id int64) (r store.Report, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		r, err = store.ReportByID(tx, kind, id)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		err = mxerr.New(mxerr.NotFound, "Report not found")
	}
	return r, err
}

// DeleteReport removes a report, or fails with M_NOT_FOUND.
func (e *Engine) DeleteReport(ctx context.Context, kind string, id int64) error {
	return e.DB.Write(ctx, func(tx *db.Tx) error {
		found, err := store.DeleteReport(tx, kind, id)
		if err == nil && !found {
			err = mxerr.New(mxerr.NotFound, "Report not found")
		}
		return err
	})
}
