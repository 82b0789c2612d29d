package appservice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/matrix/canonjson"
)

const (
	// batch bounds the events that are looked at in one step.
	batch = 200
	// What one transaction holds at most.
	maxEvents = 100
	maxBytes  = 4 << 20
	// maxMail bounds the messages to devices that are kept for a service.
	maxMail = 1000
)

// transaction is the body of PUT /_matrix/app/v1/transactions/{txnId}
// (application-service-api/#put_matrixappv1transactionstxnid), with the names that
// its parts had before.
type transaction struct {
	Events       []json.RawMessage `json:"events"`
	Ephemeral    []json.RawMessage `json:"ephemeral,omitempty"`
	OldEphemeral []json.RawMessage `json:"de.sorunome.msc2409.ephemeral,omitempty"`
	ToDevice     []json.RawMessage `json:"to_device,omitempty"`
	OldToDevice  []json.RawMessage `json:"de.sorunome.msc2409.to_device,omitempty"`

	DeviceLists    *deviceLists                           `json:"device_lists,omitempty"`
	OldDeviceLists *deviceLists                           `json:"org.matrix.msc3202.device_lists,omitempty"`
	Counts         map[string]map[string]map[string]int64 `json:"device_one_time_keys_count,omitempty"`
	OldCounts      map[string]map[string]map[string]int64 `json:"org.matrix.msc3202.device_one_time_keys_count,omitempty"`
	Unused         map[string]map[string][]string         `json:"device_unused_fallback_key_types,omitempty"`
	OldUnused      map[string]map[string][]string         `json:"org.matrix.msc3202.device_unused_fallback_key_types,omitempty"`
}

type deviceLists struct {
	Changed []string `json:"changed"`
	Left    []string `json:"left"`
}

func (t *transaction) empty() bool {
	return len(t.Events)+len(t.Ephemeral)+len(t.ToDevice) == 0 && t.DeviceLists == nil
}

// run tells a service what happens, one transaction after the other. What it did
// not take is told again, under the same number, until it does.
func (s *Service) run(ctx context.Context) {
	var at store.Appservice
	known := false
	pause := time.Duration(0)
	for ctx.Err() == nil {
		err := error(nil)
		if !known {
			if at, err = s.begin(ctx); err == nil {
				known = true
			}
		}
		more := false
		if known {
			more, err = s.step(ctx, &at)
		}
		switch {
		case err != nil:
			if ctx.Err() != nil {
				return
			}
			pause = min(max(2*pause, firstPause), longestPause)
			s.e.Log.WarnContext(ctx, "an application service did not take what it was told; trying again", "id", s.ID, "after", pause, "err", err)
			known = false // another process may have told it
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

// begin reads how far the service has been told. A new one hears of what comes.
func (s *Service) begin(ctx context.Context) (at store.Appservice, err error) {
	err = s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		at, err = store.AppserviceByID(tx, s.ID)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		at = store.Appservice{ID: s.ID, Pos: s.e.DB.Position()}
		err = s.save(ctx, at)
	}
	return at, err
}

func (s *Service) save(ctx context.Context, at store.Appservice) error {
	return s.e.DB.Write(ctx, func(tx *db.Tx) error { return store.SetAppservice(tx, at) })
}

// step makes and sends the next transaction, and reports whether there is more.
// A transaction is the part of the stream between two positions, which are stored
// before it is sent: after a crash it is made of the same part again.
func (s *Service) step(ctx context.Context, at *store.Appservice) (more bool, err error) {
	var t transaction
	end := at.Upto
	if end == 0 {
		end = s.e.DB.Position()
	}
	if more, end, err = s.events(ctx, at.Pos, end, at.Upto != 0, &t); err != nil {
		return false, err
	}
	if err := s.mail(ctx, end, &t); err != nil {
		return false, err
	}
	if s.Encryption {
		if err := s.keyChanges(ctx, at.Pos, &t); err != nil {
			return false, err
		}
	}
	if s.Ephemeral {
		if t.Ephemeral, err = s.takeEphemeral(ctx); err != nil {
			return false, err
		}
		t.OldEphemeral = t.Ephemeral
	}
	if t.empty() && at.Upto == 0 {
		// Without anything to tell the position moves in memory only: looking
		// again after a restart finds the same.
		at.Pos = end
		return more, nil
	}
	if at.Upto == 0 {
		next := store.Appservice{ID: s.ID, Pos: at.Pos, Upto: end, Txn: at.Txn + 1}
		if err := s.save(ctx, next); err != nil {
			return false, err
		}
		*at = next
	}
	if err := s.send(ctx, at.Txn, &t); err != nil {
		return false, err
	}
	*at = store.Appservice{ID: s.ID, Pos: end, Txn: at.Txn}
	return more, s.e.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.DeleteAppserviceMail(tx, s.ID, end); err != nil {
			return err
		}
		return store.SetAppservice(tx, *at)
	})
}

// events adds the events between two positions that are the service's business.
// Unless all is asked for, it stops when there are enough; end is where.
func (s *Service) events(ctx context.Context, pos, upto int64, all bool, t *transaction) (more bool, end int64, err error) {
	t.Events = []json.RawMessage{}
	now, size := time.Now().UnixMilli(), 0
	for pos < upto {
		var rows []store.RawEvent
		err := s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = store.EventsFrom(tx, pos, batch)
			return err
		})
		if err != nil {
			return false, pos, err
		}
		for _, row := range rows {
			if row.NID > upto {
				return false, upto, nil
			}
			pos = row.NID
			text, err := s.event(ctx, row, now)
			if err != nil {
				return false, pos, err
			}
			if text == nil {
				continue
			}
			t.Events = append(t.Events, text)
			if size += len(text); !all && (len(t.Events) == maxEvents || size >= maxBytes) {
				return true, pos, nil
			}
		}
		if len(rows) < batch {
			break
		}
	}
	return false, upto, nil
}

// event returns an event as a service is told it, nil if it is not its business.
func (s *Service) event(ctx context.Context, row store.RawEvent, now int64) (json.RawMessage, error) {
	if row.Ord == nil || row.Flags != 0 {
		return nil, nil
	}
	r, err := s.e.Rooms.RoomByNID(ctx, row.Room)
	if err != nil {
		return nil, nil // purged meanwhile
	}
	evs, err := s.e.Rooms.Events(ctx, r.Version, []int64{row.NID})
	if err != nil || len(evs) == 0 {
		return nil, err
	}
	ev := evs[0]
	ok, err := s.interested(ctx, r, ev)
	if err != nil || !ok {
		return nil, err
	}
	o := feed.EncodeOptions{Now: now}
	if ev.Type == "m.room.member" && ev.StateKey != nil && ev.Membership() == "invite" && s.Owns(*ev.StateKey) {
		if o.InviteState, err = feed.StrippedState(ctx, s.e.Rooms, r, ev.StateAfter, *ev.StateKey); err != nil {
			return nil, err
		}
	}
	return feed.AppendEvent(nil, ev, o), nil
}

// Copy keeps messages to devices of a service's users for it. It runs in the
// transaction that delivers them.
func (e *Engine) Copy(tx *db.Tx, mail []store.DeviceMessage) error {
	for _, s := range e.services {
		if !s.Ephemeral || s.URL == "" {
			continue
		}
		some := false
		for _, m := range mail {
			if !s.Owns(m.User) {
				continue
			}
			some = true
			if err := store.AddAppserviceMail(tx, s.ID, m); err != nil {
				return err
			}
		}
		if some {
			if err := store.TrimAppserviceMail(tx, s.ID, maxMail); err != nil {
				return err
			}
			tx.AfterCommit(s.signal)
		}
	}
	return nil
}

// mail adds the messages to devices up to a position, and how many keys the
// devices that get them have left.
func (s *Service) mail(ctx context.Context, upto int64, t *transaction) error {
	if !s.Ephemeral {
		return nil
	}
	var list []store.DeviceMessage
	err := s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = store.AppserviceMail(tx, s.ID, upto, maxMail)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range list {
		message := canonjson.With(nil, m.Message, "to_device_id", canonjson.Quote(nil, m.Device))
		message = canonjson.With(nil, message, "to_user_id", canonjson.Quote(nil, m.User))
		t.ToDevice = append(t.ToDevice, message)
		if s.Encryption {
			if err := s.keysLeft(ctx, m.User, m.Device, t); err != nil {
				return err
			}
		}
	}
	t.OldToDevice = t.ToDevice
	return nil
}

func (s *Service) keysLeft(ctx context.Context, user, device string, t *transaction) error {
	if _, known := t.Counts[user][device]; known {
		return nil
	}
	c, err := s.e.Keys.Counts(ctx, user, device)
	if err != nil {
		return err
	}
	if t.Counts == nil {
		t.Counts, t.Unused = map[string]map[string]map[string]int64{}, map[string]map[string][]string{}
		t.OldCounts, t.OldUnused = t.Counts, t.Unused
	}
	if t.Counts[user] == nil {
		t.Counts[user], t.Unused[user] = map[string]map[string]int64{}, map[string][]string{}
	}
	t.Counts[user][device], t.Unused[user][device] = c.OneTime, c.Unused
	return nil
}

// keyChanges adds the users whose keys changed after a position, as far as the
// service has to do with them. A change that is told twice costs a question.
func (s *Service) keyChanges(ctx context.Context, after int64, t *transaction) error {
	users, err := s.e.Keys.Changed(ctx, "", after)
	if err != nil {
		return err
	}
	var changed []string
	for _, user := range users {
		cares, err := s.caresForUser(ctx, user)
		if err != nil {
			return err
		}
		if cares {
			changed = append(changed, user)
		}
	}
	if changed != nil {
		t.DeviceLists = &deviceLists{Changed: changed, Left: []string{}}
		t.OldDeviceLists = t.DeviceLists
	}
	return nil
}

// send delivers a transaction, by the path that the service knows.
func (s *Service) send(ctx context.Context, txn int64, t *transaction) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		return err
	}
	path := "/transactions/" + strconv.FormatInt(txn, 10)
	_, err := s.call(ctx, http.MethodPut, path, body.Bytes(), sendTimeout)
	return err
}
