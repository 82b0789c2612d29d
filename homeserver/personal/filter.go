package personal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	maxFilter  = 64 << 10 // bytes
	maxFilters = 1000     // of one user; older ones are dropped
)

// Filter says what a client wants to see (client-server-api/#filtering). A nil
// *EventFilter lets everything pass.
type Filter struct {
	EventFields []string     `json:"event_fields"` // nil for all
	EventFormat string       `json:"event_format"` // "", "client" or "federation"
	Presence    *EventFilter `json:"presence"`
	AccountData *EventFilter `json:"account_data"`
	Room        RoomFilter   `json:"room"`
}

// RoomFilter is the part of a Filter about rooms.
type RoomFilter struct {
	Rooms        []string     `json:"rooms"` // nil for all
	NotRooms     []string     `json:"not_rooms"`
	IncludeLeave bool         `json:"include_leave"`
	Ephemeral    *EventFilter `json:"ephemeral"`
	State        *EventFilter `json:"state"`
	Timeline     *EventFilter `json:"timeline"`
	AccountData  *EventFilter `json:"account_data"`
}

// EventFilter is the specification's EventFilter and RoomEventFilter in one:
// where the latter's fields mean nothing, nobody asks for them. Nil lists let
// everything pass, empty ones nothing.
type EventFilter struct {
	Limit      *int     `json:"limit"`
	Types      []string `json:"types"`
	NotTypes   []string `json:"not_types"`
	Senders    []string `json:"senders"`
	NotSenders []string `json:"not_senders"`

	Rooms       []string `json:"rooms"`
	NotRooms    []string `json:"not_rooms"`
	ContainsURL *bool    `json:"contains_url"`

	LazyLoadMembers           bool `json:"lazy_load_members"`
	IncludeRedundantMembers   bool `json:"include_redundant_members"`
	UnreadThreadNotifications bool `json:"unread_thread_notifications"`

	RelatedBySenders  []string `json:"related_by_senders"`
	RelatedByRelTypes []string `json:"related_by_rel_types"`

	// What an event itself says that it is to another, "" for nothing (MSC3874).
	RelTypes    []string `json:"org.matrix.msc3874.rel_types"`
	NotRelTypes []string `json:"org.matrix.msc3874.not_rel_types"`
}

// MatchRelation reports whether an event passes that relates to another in the
// way relType, "" for one that does not.
func (f *EventFilter) MatchRelation(relType string) bool {
	return f == nil || passes(f.RelTypes, f.NotRelTypes, relType)
}

// AsksRelation reports whether MatchRelation may refuse anything.
func (f *EventFilter) AsksRelation() bool {
	return f != nil && (f.RelTypes != nil || f.NotRelTypes != nil)
}

// AsksRelated reports whether only events pass that others relate to.
func (f *EventFilter) AsksRelated() bool {
	return f != nil && (f.RelatedBySenders != nil || f.RelatedByRelTypes != nil)
}

// Selects reports whether any event may be refused for what it is.
func (f *EventFilter) Selects() bool {
	return f != nil && (f.Types != nil || f.NotTypes != nil || f.Senders != nil || f.NotSenders != nil || f.ContainsURL != nil || f.AsksRelation())
}

// ParseFilter reads a filter as clients write it, inline in a query or
// uploaded. Errors are M_BAD_JSON, M_NOT_JSON and M_INVALID_PARAM.
func ParseFilter(raw []byte) (*Filter, error) {
	if len(raw) > maxFilter {
		return nil, mxerr.New(mxerr.TooLarge, "A filter must not be larger than %d bytes", maxFilter)
	}
	if !json.Valid(raw) {
		return nil, mxerr.New(mxerr.NotJSON, "The filter is not JSON")
	}
	if raw = bytes.TrimSpace(raw); raw[0] != '{' {
		return nil, mxerr.New(mxerr.BadJSON, "The filter must be a JSON object")
	}
	f := new(Filter)
	if err := json.Unmarshal(raw, f); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, mxerr.New(mxerr.BadJSON, "The field %q of the filter must not be a %s", te.Field, te.Value)
		}
		return nil, &mxerr.Error{Code: mxerr.BadJSON, Text: "The filter has a wrong value", Cause: err}
	}
	return f, f.check()
}

func (f *Filter) check() error {
	if f.EventFormat != "" && f.EventFormat != "client" && f.EventFormat != "federation" {
		return mxerr.New(mxerr.InvalidParam, "event_format must be client or federation")
	}
	if err := checkIDs("rooms", '!', f.Room.Rooms, f.Room.NotRooms); err != nil {
		return err
	}
	for _, ef := range []*EventFilter{f.Presence, f.AccountData, f.Room.Ephemeral, f.Room.State, f.Room.Timeline, f.Room.AccountData} {
		if err := ef.check(); err != nil {
			return err
		}
	}
	return nil
}

func (f *EventFilter) check() error {
	if f == nil {
		return nil
	}
	if f.Limit != nil && *f.Limit < 0 {
		return mxerr.New(mxerr.InvalidParam, "The limit of a filter must not be negative")
	}
	if err := checkIDs("rooms", '!', f.Rooms, f.NotRooms); err != nil {
		return err
	}
	return checkIDs("senders", '@', f.Senders, f.NotSenders, f.RelatedBySenders)
}

// checkIDs looks at the form only as far as to tell a mistake: what does not
// exist matches nothing.
func checkIDs(field string, sigil byte, lists ...[]string) error {
	for _, l := range lists {
		for _, id := range l {
			if len(id) < 2 || id[0] != sigil || sigil == '@' && mxid.ServerOf(id) == "" {
				return mxerr.New(mxerr.InvalidParam, "%q is no valid entry of %s", id, field)
			}
		}
	}
	return nil
}

// Match reports whether an event passes, as far as its type, its sender and
// whether its content has a url decide.
func (f *EventFilter) Match(typ, sender string, containsURL bool) bool {
	switch {
	case f == nil:
		return true
	case f.ContainsURL != nil && *f.ContainsURL != containsURL:
		return false
	case f.NotSenders != nil && slices.Contains(f.NotSenders, sender):
		return false
	case f.Senders != nil && !slices.Contains(f.Senders, sender):
		return false
	}
	return f.MatchType(typ)
}

// MatchType reports whether a type passes, for what has no sender.
func (f *EventFilter) MatchType(typ string) bool {
	if f == nil {
		return true
	}
	return !anyGlob(f.NotTypes, typ) && (f.Types == nil || anyGlob(f.Types, typ))
}

// MatchRoom reports whether events of a room pass.
func (f *EventFilter) MatchRoom(room string) bool {
	return f == nil || passes(f.Rooms, f.NotRooms, room)
}

// MatchRoom reports whether a room is wanted at all.
func (f *RoomFilter) MatchRoom(room string) bool { return passes(f.Rooms, f.NotRooms, room) }

func passes(only, not []string, s string) bool {
	return !slices.Contains(not, s) && (only == nil || slices.Contains(only, s))
}

// LimitOr is the filter's limit, def if it has none, and at most most.
func (f *EventFilter) LimitOr(def, most int) int {
	if f == nil || f.Limit == nil {
		return def
	}
	return min(*f.Limit, most)
}

func anyGlob(patterns []string, s string) bool {
	for _, p := range patterns {
		if glob(p, s) {
			return true
		}
	}
	return false
}

// glob matches a pattern in which * stands for any text.
func glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, head)
	for ok {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
	}
	return false
}

type filterKey struct {
	user string
	id   int64
}

// AddFilter stores a filter and returns its id. An equal one has the same id.
func (e *Engine) AddFilter(ctx context.Context, user string, raw json.RawMessage) (string, error) {
	if _, err := ParseFilter(raw); err != nil {
		return "", err
	}
	packed, err := pack(raw)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(packed)
	var id int64
	err = e.db.Write(ctx, func(tx *db.Tx) (err error) {
		id, err = store.AddFilter(tx, user, hash[:16], packed, maxFilters)
		return err
	})
	return strconv.FormatInt(id, 10), err
}

// FilterJSON returns a filter as it was uploaded, or M_NOT_FOUND.
func (e *Engine) FilterJSON(ctx context.Context, user, id string) (json.RawMessage, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, errNoFilter()
	}
	var raw []byte
	err = e.db.Read(ctx, func(tx *db.Tx) (err error) {
		raw, err = store.Filter(tx, user, n)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		err = errNoFilter()
	}
	return raw, err
}

func errNoFilter() error { return mxerr.New(mxerr.NotFound, "There is no such filter") }

// Filter returns a stored filter, or M_NOT_FOUND. It is shared and must not be
// changed.
func (e *Engine) Filter(ctx context.Context, user, id string) (*Filter, error) {
	n, _ := strconv.ParseInt(id, 10, 64) // ids start at 1; FilterJSON tells bad ones
	key := filterKey{user, n}
	e.mu.RLock()
	f := e.filters[key]
	e.mu.RUnlock()
	if f != nil {
		return f, nil
	}
	raw, err := e.FilterJSON(ctx, user, id)
	if err != nil {
		return nil, err
	}
	if f, err = ParseFilter(raw); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.filters) >= maxCached {
		clear(e.filters)
	}
	e.filters[key] = f
	return f, nil
}
