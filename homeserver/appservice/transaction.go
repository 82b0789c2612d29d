package appservice

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/feed"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

const (
	// batch bounds the events that are read at a time.
	batch = maxEvents
	// What one transaction holds of events, and of messages to devices.
	maxEvents  = 100
	maxLetters = 200
	maxBytes   = 2 << 20
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

// parcel is a transaction in the making.
type parcel struct {
	transaction
	upto int64                // what is told with it
	more bool                 // there was no room for all
	mail *store.DeviceMessage // the last message to a device in it
	size int

	came, went map[string]bool // users who came into rooms of the service, and left them
}

func (p *parcel) empty() bool {
	return len(p.Events)+len(p.Ephemeral)+len(p.ToDevice)+len(p.Counts) == 0 && p.DeviceLists == nil
}

// precious tells what must arrive from what nobody misses when the server
// crashes.
func (p *parcel) precious() bool {
	return len(p.Events)+len(p.ToDevice) > 0 || p.DeviceLists != nil
}

func (p *parcel) encode() ([]byte, error) {
	p.OldEphemeral, p.OldToDevice, p.OldDeviceLists, p.OldCounts, p.OldUnused = p.Ephemeral, p.ToDevice, p.DeviceLists, p.Counts, p.Unused
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(p.transaction)
	return body.Bytes(), err
}

// compose gathers what a service is to be told behind a position. What passes is
// told when it has heard all else: it is about now. It is taken before the stream is
// looked at, for it may be the service's business by an event that has just come.
func (s *Service) compose(ctx context.Context, pos int64) (*parcel, error) {
	f := s.take()
	p, err := s.lasting(ctx, pos)
	if err == nil && !p.more {
		err = s.passing(ctx, f, p)
	} else {
		s.giveBack(f)
	}
	return p, err
}

// lasting is compose without what passes.
func (s *Service) lasting(ctx context.Context, pos int64) (*parcel, error) {
	p := &parcel{upto: s.e.DB.Position(), came: map[string]bool{}, went: map[string]bool{}}
	if err := s.events(ctx, pos, p); err != nil {
		return nil, err
	}
	if s.Ephemeral {
		if err := s.letters(ctx, p); err != nil {
			return nil, err
		}
	}
	if s.Encryption {
		if err := s.lists(ctx, pos, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// events adds the events behind a position that are the service's business, until
// there are enough.
func (s *Service) events(ctx context.Context, pos int64, p *parcel) error {
	p.Events = []json.RawMessage{}
	for pos < p.upto {
		var rows []store.RawEvent
		err := s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = store.EventsFrom(tx, pos, batch)
			return err
		})
		if err != nil {
			return err
		}
		loaded, err := s.load(ctx, rows)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.NID > p.upto {
				return nil
			}
			pos = row.NID
			if e, ok := loaded[row.NID]; ok {
				if err := s.event(ctx, e.room, e.event, p); err != nil {
					return err
				}
			}
			if len(p.Events) == maxEvents || p.size >= maxBytes {
				p.upto, p.more = pos, true
				return nil
			}
		}
		if len(rows) < batch {
			return nil
		}
	}
	return nil
}

// read is an event of the stream, with its room.
type read struct {
	room  *room.Room
	event *room.Event
}

// load returns the events of rows that are in timelines, by number: those of a room
// at once.
func (s *Service) load(ctx context.Context, rows []store.RawEvent) (map[int64]read, error) {
	byRoom := map[int64][]int64{}
	for _, row := range rows {
		if row.Ord != nil && row.Flags == 0 {
			byRoom[row.Room] = append(byRoom[row.Room], row.NID)
		}
	}
	out := make(map[int64]read, len(rows))
	for nid, events := range byRoom {
		r, err := s.e.Rooms.RoomByNID(ctx, nid)
		if err != nil {
			if mxerr.From(err).Code == mxerr.NotFound {
				continue // purged meanwhile
			}
			return nil, err
		}
		evs, err := s.e.Rooms.Events(ctx, r.Version, events)
		if err != nil {
			return nil, err
		}
		for _, ev := range evs {
			out[ev.NID] = read{r, ev}
		}
	}
	return out, nil
}

// event adds an event if it is the service's business.
func (s *Service) event(ctx context.Context, r *room.Room, ev *room.Event, p *parcel) error {
	ok, err := s.interested(ctx, r, ev)
	if err != nil || !ok {
		return err
	}
	text, err := s.encode(ctx, r, ev)
	if err != nil {
		return err
	}
	p.Events = append(p.Events, text)
	p.size += len(text)
	if s.Encryption && ev.Type == "m.room.member" && ev.StateKey != nil && !s.Owns(*ev.StateKey) {
		switch user := *ev.StateKey; ev.Membership() {
		case "join":
			p.came[user] = true
			delete(p.went, user)
		case "leave", "ban":
			p.went[user] = true
			delete(p.came, user)
		}
	}
	return nil
}

// encode writes an event for a service, which may know what it replaced.
func (s *Service) encode(ctx context.Context, r *room.Room, ev *room.Event) (json.RawMessage, error) {
	o := feed.EncodeOptions{Now: time.Now().UnixMilli()}
	beside := func(nid int64) (*room.Event, error) {
		if nid == 0 {
			return nil, nil
		}
		evs, err := s.e.Rooms.Events(ctx, r.Version, []int64{nid})
		if err != nil || len(evs) == 0 {
			return nil, err
		}
		return evs[0], nil
	}
	var err error
	if o.Because, err = beside(ev.RedactedBy); err != nil {
		return nil, err
	}
	if ev.StateKey != nil {
		nid, err := s.e.Rooms.Replaced(ctx, ev)
		if err != nil {
			return nil, err
		}
		if o.Replaces, err = beside(nid); err != nil {
			return nil, err
		}
	}
	if ev.Type == "m.room.member" && ev.StateKey != nil && ev.Membership() == "invite" && s.Owns(*ev.StateKey) {
		if o.InviteState, err = feed.StrippedState(ctx, s.e.Rooms, r, ev.StateAfter, *ev.StateKey); err != nil {
			return nil, err
		}
	}
	return feed.AppendEvent(nil, ev, o), nil
}

// letters adds messages to devices, and how many keys the devices that get them
// have left.
func (s *Service) letters(ctx context.Context, p *parcel) error {
	var list []store.DeviceMessage
	err := s.e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = store.AppserviceMail(tx, s.ID, p.upto, maxLetters)
		return err
	})
	if err != nil {
		return err
	}
	size := 0
	for i, m := range list {
		message := canonjson.With(nil, m.Message, "to_device_id", canonjson.Quote(nil, m.Device))
		message = canonjson.With(nil, message, "to_user_id", canonjson.Quote(nil, m.User))
		p.ToDevice = append(p.ToDevice, message)
		p.mail = &list[i]
		if err := s.keysLeft(ctx, deviceKey{m.User, m.Device}, p); err != nil {
			return err
		}
		if size += len(message); size >= maxBytes {
			p.more = true
			return nil
		}
	}
	p.more = p.more || len(list) == maxLetters
	return nil
}

// keysLeft adds how many keys a device has left (MSC3202).
func (s *Service) keysLeft(ctx context.Context, d deviceKey, p *parcel) error {
	if _, known := p.Counts[d.user][d.device]; known || !s.Encryption {
		return nil
	}
	c, err := s.e.Keys.Counts(ctx, d.user, d.device)
	if err != nil {
		return err
	}
	if p.Counts == nil {
		p.Counts, p.Unused = map[string]map[string]map[string]int64{}, map[string]map[string][]string{}
	}
	if p.Counts[d.user] == nil {
		p.Counts[d.user], p.Unused[d.user] = map[string]map[string]int64{}, map[string][]string{}
	}
	p.Counts[d.user][d.device], p.Unused[d.user][d.device] = c.OneTime, c.Unused
	return nil
}

// lists adds the users whose devices changed behind a position, as far as the
// service has to do with them, those who are new in its rooms, and those with whom
// it has nothing to do any more (MSC3202). A change that is told twice costs a
// question.
func (s *Service) lists(ctx context.Context, pos int64, p *parcel) error {
	users, err := s.e.Keys.ChangedBetween(ctx, "", pos, p.upto)
	if err != nil {
		return err
	}
	changed := p.came
	for _, user := range users {
		cares, err := s.caresForUser(ctx, user)
		if err != nil {
			return err
		}
		if cares {
			changed[user] = true
		}
	}
	var left []string
	for user := range p.went {
		cares, err := s.caresForUser(ctx, user)
		if err != nil {
			return err
		}
		if !cares {
			left = append(left, user)
		}
	}
	if len(changed)+len(left) > 0 {
		slices.Sort(left)
		p.DeviceLists = &deviceLists{append([]string{}, slices.Sorted(maps.Keys(changed))...), append([]string{}, left...)}
	}
	return nil
}
