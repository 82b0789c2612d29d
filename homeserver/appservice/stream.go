package appservice

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"hearth/base/db"
	"hearth/base/store"
)

const (
	// firstPause is how long a service rests after a failure; the pause doubles
	// up to longestPause.
	firstPause   = time.Second
	longestPause = time.Minute
	// gather is how long to wait for more events, since many at a time cost less
	// than one by one.
	gather = 10 * time.Millisecond
	// ahead is how many transaction numbers are set aside at a time, for those that
	// are not worth a write of their own.
	ahead = 1000
	// idle is how far a service's position runs ahead of the stored one while there
	// is nothing to tell: so much is looked through again after a restart.
	idle = 10_000
)

// cursor is how far a service has been told.
type cursor struct {
	store.Appservice
	next  int64 // number of the next transaction; those before Appservice.Next are set aside
	saved int64 // Pos as it is stored
	kept  bool  // the transaction on its way is stored
}

// run tells a service what happens behind start or where it was last, one transaction after the other. What it did
// not take is told again, as it was, until it does.
func (s *Service) run(ctx context.Context, start int64) {
	var at *cursor
	pause := time.Duration(0)
	for ctx.Err() == nil {
		var err error
		if at == nil {
			at, err = s.begin(ctx, start)
		}
		more := false
		if err == nil {
			more, err = s.step(ctx, at)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = min(max(2*pause, firstPause), longestPause)
			s.e.Log.WarnContext(ctx, "an application service did not take what it was told; trying again", "id", s.ID, "after", pause, "err", err)
			s.rest(ctx, pause)
		case more:
			pause = 0
		default:
			pause = 0
			select {
			case <-ctx.Done():
			case <-s.wake:
				s.rest(ctx, gather)
			}
		}
	}
}

// rest waits, until the service shows that it is there.
func (s *Service) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.now:
	case <-t.C:
	}
}

// begin reads how far the service has been told. A new one hears of what comes
// behind start.
func (s *Service) begin(ctx context.Context, start int64) (*cursor, error) {
	at := &cursor{}
	err := s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		at.Appservice, err = store.AppserviceByID(tx, s.ID)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		at.Appservice = store.Appservice{ID: s.ID, Pos: start, Next: 1}
		err = s.save(ctx, at.Appservice, nil)
	}
	if err != nil {
		return nil, err
	}
	// The numbers that were set aside before a restart may have been used.
	at.next, at.saved, at.kept = at.Next, at.Pos, at.Body != nil
	return at, nil
}

// step sends the next transaction, if there is anything to tell, and reports
// whether there is more.
func (s *Service) step(ctx context.Context, at *cursor) (more bool, err error) {
	if at.Body == nil {
		if more, err = s.prepare(ctx, at); err != nil || at.Body == nil {
			return more, err
		}
	}
	path := "/transactions/" + strconv.FormatInt(at.Txn, 10)
	if _, err := s.call(ctx, http.MethodPut, path, at.Body, sendTimeout); err != nil {
		return false, err
	}
	told := at.Appservice
	told.Pos, told.Body = at.Upto, nil
	if at.kept {
		if err := s.save(ctx, told, nil); err != nil {
			return false, err // it will be sent again, and the service knows its number
		}
		at.saved = told.Pos
	}
	at.Appservice, at.kept = told, false
	return true, nil // much may have happened meanwhile
}

// prepare makes the next transaction. It is stored before it is sent, unless it
// holds nothing that would be missed: the specification wants it to be the same
// whenever it is sent (application-service-api/#pushing-events).
func (s *Service) prepare(ctx context.Context, at *cursor) (more bool, err error) {
	p, err := s.compose(ctx, at.Pos)
	if err != nil {
		return false, err
	}
	next := at.Appservice
	if p.empty() {
		next.Pos = p.upto
		if next.Pos-at.saved >= idle {
			if err := s.save(ctx, next, nil); err != nil {
				return false, err
			}
			at.saved = next.Pos
		}
		at.Appservice = next
		return p.more, nil
	}
	next.Txn, next.Upto = at.next, p.upto
	if next.Body, err = p.encode(); err != nil {
		return false, err
	}
	number := at.next + 1
	switch {
	case p.precious():
		next.Next = max(next.Next, number)
		if err := s.save(ctx, next, p.mail); err != nil {
			return false, err
		}
		at.saved, at.kept = next.Pos, true
	case number > next.Next:
		aside := at.Appservice
		aside.Next = number + ahead
		if err := s.save(ctx, aside, nil); err != nil {
			return false, err
		}
		next.Next, at.saved = aside.Next, aside.Pos
	}
	at.Appservice, at.next = next, number
	return p.more, nil
}

// save stores how far the service has been told. Messages to devices up to mail
// are in the transaction that is stored, and need not be kept any more.
func (s *Service) save(ctx context.Context, at store.Appservice, mail *store.DeviceMessage) error {
	return s.e.DB.Write(ctx, func(tx *db.Tx) error {
		if mail != nil {
			if err := store.DeleteAppserviceMail(tx, s.ID, *mail); err != nil {
				return err
			}
		}
		return store.SetAppservice(tx, at)
	})
}
