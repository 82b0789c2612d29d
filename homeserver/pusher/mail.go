package pusher

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/mail"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// mailApp is the app_id of pushers that send mail.
const mailApp = "m.email"

const (
	// mailDelay is how long people may read a message before they get mail.
	mailDelay = 10 * time.Minute
	// maxThrottle bounds the time between two mails, which doubles while nothing
	// is read.
	maxThrottle = 12 * time.Hour
)

// Mail is what an Engine needs to send mail.
type Mail struct {
	Send func(ctx context.Context, m mail.Message) error
	// Owns reports whether an address belongs to a user.
	Owns      func(ctx context.Context, user, address string) (bool, error)
	Server    string // its name
	PublicURL string // where links in mail lead
	Secret    []byte // signs the link that ends the mail
}

// checkMail makes sure that nobody has mail sent to others.
func (e *Engine) checkMail(ctx context.Context, p *store.Pusher) error {
	if p.App != mailApp {
		return mxerr.New(mxerr.InvalidParam, "The app_id of a pusher that sends mail is %s", mailApp)
	}
	p.Key = strings.ToLower(p.Key)
	p.Device = "" // who has logged out gets mail all the same
	owns, err := e.Mail.Owns(ctx, p.User, p.Key)
	if err == nil && !owns {
		err = mxerr.New(mxerr.ThreepidNotFound, "This is none of your mail addresses. Add it first")
	}
	return err
}

// deliverMail sends one mail about all that has not been read for a while.
func (e *Engine) deliverMail(ctx context.Context, p store.Pusher, pushes []store.Push, d *delivery) error {
	if len(pushes) == 0 {
		return nil
	}
	owns := false
	if e.Mail != nil { // else the operator has switched mail off
		var err error
		if owns, err = e.Mail.Owns(ctx, p.User, p.Key); err != nil {
			return err
		}
		if !owns { // not any more
			if err := e.Delete(ctx, p.User, p.App, p.Key); err != nil {
				return err
			}
			return errGone
		}
	}
	unread, err := e.stillUnread(ctx, p.User, pushes)
	if err != nil {
		return err
	}
	if owns && len(unread) > 0 {
		if wait := e.mailAt(d, unread[0].at).Sub(e.Now()); wait > 0 {
			e.wakeIn(p.ID, d, wait)
			return nil
		}
		if err := e.Mail.Send(ctx, e.digest(p, unread)); err != nil {
			return err
		}
	}
	e.mu.Lock()
	if len(unread) > 0 {
		d.mailed, d.throttle = e.Now(), min(max(2*d.throttle, mailDelay), maxThrottle)
	} else {
		d.throttle = 0
	}
	e.mu.Unlock()
	last := pushes[len(pushes)-1].Event
	return e.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return store.DeletePushes(tx, p.ID, last) })
}

// mailAt is when the next mail may go.
func (e *Engine) mailAt(d *delivery, oldest time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := oldest.Add(mailDelay)
	if next := d.mailed.Add(d.throttle); next.After(at) {
		return next
	}
	return at
}

func (e *Engine) wakeIn(id int64, d *delivery, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = e.After(wait, func() { e.start(id, false, true) })
}

// unreadEvent is one that a mail is about.
type unreadEvent struct {
	at   time.Time
	room *room.Room
	ev   *room.Event

	roomName, sender string
}

// stillUnread finds what the user has not read since, oldest first.
func (e *Engine) stillUnread(ctx context.Context, user string, pushes []store.Push) (out []unreadEvent, err error) {
	receipts := map[int64][]store.Receipt{} // by room; nil for one in which all is read
	for _, push := range pushes {
		ev, r, err := e.eventOf(ctx, push.Event)
		if err != nil {
			return nil, err
		}
		if ev == nil || ev.RedactedBy != 0 {
			continue
		}
		u := unreadEvent{at: time.UnixMilli(push.At), room: r, ev: ev}
		own, known := receipts[r.NID]
		if !known {
			if own, err = e.ownReceipts(ctx, user, r); err != nil {
				return nil, err
			}
			receipts[r.NID] = own
		}
		read := own == nil
		if !read {
			if read, err = e.isRead(ctx, u, own); err != nil {
				return nil, err
			}
		}
		if !read && ev.Is("m.room.member", user) {
			read, err = e.isAnswered(ctx, u)
			if err != nil {
				return nil, err
			}
		}
		if read {
			continue
		}
		if u.roomName, u.sender, err = e.namesFor(ctx, r, ev, user); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

// ownReceipts returns nil if there is nothing unread in a room for a user.
func (e *Engine) ownReceipts(ctx context.Context, user string, r *room.Room) ([]store.Receipt, error) {
	m, err := e.Rooms.Membership(ctx, r.ID, user)
	if err != nil || m != store.Join && m != store.Invite {
		return nil, err
	}
	if m == store.Join {
		n, err := e.unreadIn(ctx, user, r)
		if err != nil || n == 0 {
			return nil, err
		}
	}
	own, err := e.Receipts.Own(ctx, user, r.NID)
	return append([]store.Receipt{}, own...), err
}

// isAnswered reports whether an invitation is over.
func (e *Engine) isAnswered(ctx context.Context, u unreadEvent) (bool, error) {
	now, err := e.Rooms.StateEvent(ctx, u.room, u.room.Current().State, u.ev.Type, *u.ev.StateKey)
	return now != nil && now.NID != u.ev.NID, err
}

func (e *Engine) isRead(ctx context.Context, u unreadEvent, own []store.Receipt) (bool, error) {
	thread := ""
	for _, rc := range own {
		if rc.Ord < u.ev.Ord {
			continue
		}
		if rc.Thread == "" {
			return true, nil
		}
		if thread == "" {
			var err error
			if thread, err = e.Receipts.ThreadOf(ctx, u.room, u.ev); err != nil {
				return false, err
			}
		}
		if rc.Thread == thread {
			return true, nil
		}
	}
	return false, nil
}

// unsubscribeLink is the page on which a user ends the mail to an address.
func (e *Engine) unsubscribeLink(p store.Pusher) string {
	q := url.Values{"u": {p.User}, "a": {p.Key}, "h": {e.unsubscribeMAC(p.User, p.Key)}}
	return e.Mail.PublicURL + "/_matrix/client/unsubscribe?" + q.Encode()
}

func (e *Engine) unsubscribeMAC(user, address string) string {
	m := hmac.New(sha256.New, e.Mail.Secret)
	m.Write([]byte("unsubscribe\x00" + user + "\x00" + address))
	return hex.EncodeToString(m.Sum(nil))
}

// CheckUnsubscribe wants a link to be one from a mail of this server.
func (e *Engine) CheckUnsubscribe(user, address, mac string) error {
	if e.Mail == nil || !hmac.Equal([]byte(mac), []byte(e.unsubscribeMAC(user, address))) {
		return mxerr.New(mxerr.Forbidden, "This link is not valid")
	}
	return nil
}

// Unsubscribe ends the mail to an address of a user.
func (e *Engine) Unsubscribe(ctx context.Context, user, address string) error {
	return e.Delete(ctx, user, mailApp, address)
}
