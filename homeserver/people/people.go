// Package people lets users find each other by name, as far as they may know of
// each other. It does not know how one becomes a user.
package people

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/db"
	"hearth/base/fold"
	"hearth/base/store"
	"hearth/homeserver/room"
)

// Config is what a Directory needs from the rest of the server.
type Config struct {
	DB    *db.DB
	Rooms *room.Engine
}

// Directory finds people.
type Directory struct {
	Config
	stale atomic.Bool

	mu   sync.Mutex
	list []person
	at   time.Time
}

// maxAge bounds how long a list is used that another process may have changed.
const maxAge = 30 * time.Second

// New returns a Directory. Nothing runs in the background.
func New(c Config) *Directory {
	d := &Directory{Config: c}
	c.Rooms.Observe(func(_ *room.Room, ev *room.Event) {
		if ev.Type == "m.room.member" {
			d.stale.Store(true) // who has just come is to be found
		}
	})
	return d
}

// Changed says that somebody came, went, or is called otherwise now.
func (d *Directory) Changed() { d.stale.Store(true) }

// Found is somebody who was found (client-server-api/#post_matrixclientv3user_directorysearch).
type Found struct {
	User      string  `json:"user_id"`
	Name      *string `json:"display_name,omitempty"`
	AvatarURL *string `json:"avatar_url,omitempty"`
}

type person struct {
	Found
	words string // what searches look at, folded
}

// people returns everybody, read anew if that is out of date.
func (d *Directory) people(ctx context.Context) ([]person, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.list != nil && !d.stale.Load() && time.Since(d.at) < maxAge {
		return d.list, nil
	}
	d.stale.Store(false) // before the look into the store: what comes later counts
	var rows []store.Person
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.People(tx)
		return err
	})
	if err != nil {
		d.stale.Store(true)
		return nil, err
	}
	d.list, d.at = make([]person, len(rows)), time.Now()
	for i, row := range rows {
		p := person{Found: Found{User: row.User, Name: text(row.Name), AvatarURL: text(row.AvatarURL)}}
		p.words = fold.Text(row.User)
		if p.Name != nil {
			p.words += "\n" + fold.Text(*p.Name)
		}
		d.list[i] = p
	}
	return d.list, nil
}

// text is a JSON string of a profile, nil for anything else.
func text(raw *string) *string {
	var s string
	if raw == nil || json.Unmarshal([]byte(*raw), &s) != nil || s == "" {
		return nil
	}
	return &s
}

// Search returns up to limit people whose name or id has all words of a term, the
// best first, and whether there are more. The searcher finds those with whom they
// share a room, and those in rooms that everybody may enter or read.
func (d *Directory) Search(ctx context.Context, searcher, term string, limit int) (found []Found, more bool, err error) {
	all, err := d.people(ctx)
	if err != nil {
		return nil, false, err
	}
	words := strings.Fields(fold.Text(term))
	var hits []person
	for _, p := range all {
		if p.User != searcher && len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(p.words, w) }) {
			hits = append(hits, p)
		}
	}
	slices.SortStableFunc(hits, func(a, b person) int { return cmp.Compare(rank(a, words[0]), rank(b, words[0])) })
	s := sight{d, ctx, map[int64]bool{}}
	for _, p := range hits {
		ok, err := s.sees(searcher, p.User)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			continue
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, p.Found)
	}
	return found, false, nil
}

// rank is smaller the better a person fits a word: whose name begins with it
// comes before those who have it somewhere, and a profile before none.
func rank(p person, word string) int {
	_, name, _ := strings.Cut(p.words, "\n")
	switch {
	case strings.HasPrefix(name, word), strings.HasPrefix(p.words, word), strings.HasPrefix(p.words, "@"+word):
		return 0
	case p.Name != nil:
		return 1
	}
	return 2
}

// sight tells whom a searcher may find. It remembers what it has learnt of rooms.
type sight struct {
	d    *Directory
	ctx  context.Context
	open map[int64]bool // by room: everybody may enter or read it
}

func (s *sight) sees(searcher, other string) (bool, error) {
	if shares, err := s.d.Rooms.Share(s.ctx, searcher, other); err != nil || shares {
		return shares, err
	}
	rooms, err := s.d.Rooms.JoinedRooms(s.ctx, other)
	if err != nil {
		return false, err
	}
	for _, nid := range rooms {
		if open, err := s.isOpen(nid); err != nil || open {
			return open, err
		}
	}
	return false, nil
}

func (s *sight) isOpen(nid int64) (open bool, err error) {
	if open, ok := s.open[nid]; ok {
		return open, nil
	}
	r, err := s.d.Rooms.RoomByNID(s.ctx, nid)
	if err != nil {
		return false, err
	}
	for typ, want := range map[string][2]string{"m.room.join_rules": {"join_rule", "public"}, "m.room.history_visibility": {"history_visibility", "world_readable"}} {
		ev, err := s.d.Rooms.StateEvent(s.ctx, r, r.Current().State, typ, "")
		if err != nil {
			return false, err
		}
		if ev != nil {
			if got, _ := ev.GetString(want[0]); got == want[1] {
				open = true
			}
		}
	}
	s.open[nid] = open
	return open, nil
}
