// Package push decides who is told of an event: it evaluates push rules and
// counts what users have not read yet. Counts are made when a user's client
// asks, from the events since it last asked, so that a message costs nothing
// for members who are not there. It does not know /sync, nor how a notification
// travels to a phone.
package push

import (
	"container/list"
	"context"
	"log/slog"
	"maps"
	"sync"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
)

const (
	// maxTallies bounds the counts in memory: one for each user and room.
	maxTallies = 20_000
	// maxThreads bounds the threads of a room in which a user has unread events.
	maxThreads = 500
	// maxNews bounds the receipts that wait for the next count.
	maxNews = 32
)

// Config is what a Counter needs from the rest of the server.
type Config struct {
	DB       *db.DB
	Rooms    *room.Engine
	Receipts *receipt.Engine
	Personal *personal.Engine
	Hub      *notify.Hub
	Log      *slog.Logger
	// MaxSeen bounds the events that one request for notifications looks at; 0 for
	// what is usual.
	MaxSeen int
	// MaxBack bounds the unread events of a room that are counted; 0 for what is
	// usual.
	MaxBack int64
}

// Counter counts unread events.
type Counter struct {
	Config
	facts   *factCache
	rules   *ruleCache
	ledgers ledgers

	mu      sync.Mutex
	tallies map[key]*list.Element // of *tally
	order   *list.List            // the latest used in front
	dirty   map[*tally]struct{}   // to be saved

	stop context.CancelFunc
	done sync.WaitGroup
}

// Counts is how many events a user should be told of: those of the main
// timeline, and in Threads those of each thread that has some, by its root.
// Threads is shared and must not be changed.
type Counts struct {
	Notify, Highlight int
	Threads           map[string]Counts
}

// Total is the sum over the main timeline and all threads.
func (c Counts) Total() Counts {
	sum := Counts{Notify: c.Notify, Highlight: c.Highlight}
	for _, t := range c.Threads {
		sum.Notify += t.Notify
		sum.Highlight += t.Highlight
	}
	return sum
}

type key struct {
	user string
	room int64
}

// tally is the counts of one user in one room.
type tally struct {
	key
	news   []store.Receipt // not yet considered; guarded by Counter.mu
	missed bool            // there were more than fit in news; guarded by Counter.mu

	mu        sync.Mutex // held while counting, which may read the store
	loaded    bool
	preloaded *stored // what load will find; nil if it must look itself
	upto      int64   // place in the timeline up to which events are counted
	seen      int64   // position up to which receipts are considered
	counts    Counts
	shared    bool // counts.Threads has been handed out
	readAll   int64
	readIn    map[string]int64 // by thread, receipt.Main among them
	evaluated int              // events since the last save
	redacted  bool             // something that is counted may be gone
}

// New returns a Counter. It observes receipts and push rules, so call New
// before the first request.
func New(c Config) *Counter {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	n := &Counter{
		Config: c, facts: newFactCache(), rules: newRuleCache(), ledgers: ledgers{all: map[ledgerKey]*ledger{}},
		tallies: map[key]*list.Element{}, order: list.New(), dirty: map[*tally]struct{}{},
	}
	c.Receipts.Observe(n.note)
	c.Personal.Observe(func(user string, room int64, typ string) {
		if typ == personal.TypePushRules && room == 0 {
			n.rules.forget(user)
		}
	})
	return n
}

// Counts returns what user, a member of r, has not read among the events up to
// a place in the timeline. If more has been counted for another client, later
// events are included.
func (c *Counter) Counts(ctx context.Context, r *room.Room, user string, upto int64) (Counts, error) {
	t := c.tally(key{user, r.NID})
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := c.bringUp(ctx, r, t, min(upto, r.LastPos())); err != nil {
		t.loaded = false // half-way through: begin again with what is stored
		return Counts{}, err
	}
	t.shared = true
	return t.counts, nil
}

// bringUp considers new receipts and events. t.mu is held.
func (c *Counter) bringUp(ctx context.Context, r *room.Room, t *tally, upto int64) error {
	news, missed := c.takeNews(t)
	if missed {
		t.preloaded = nil // it lacks them too
	}
	if !t.loaded || missed {
		if err := c.load(ctx, r, t); err != nil {
			return err
		}
	}
	for _, rc := range news {
		if err := c.apply(ctx, r, t, rc); err != nil {
			return err
		}
	}
	if t.upto < upto {
		if err := c.advance(ctx, r, t, upto); err != nil {
			return err
		}
	}
	if t.redacted {
		if err := c.recount(ctx, r, t); err != nil {
			return err
		}
	}
	if t.evaluated >= saveAfter {
		c.saveLater(t)
	}
	return nil
}

func (c *Counter) tally(k key) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.tallies[k]; el != nil {
		c.order.MoveToFront(el)
		return el.Value.(*tally)
	}
	if c.order.Len() >= maxTallies {
		last := c.order.Back()
		delete(c.tallies, last.Value.(*tally).key)
		c.order.Remove(last)
	}
	t := &tally{key: k}
	c.tallies[k] = c.order.PushFront(t)
	return t
}

// note keeps a stored receipt for the next count. It runs in the store's
// writer. A user without a tally finds the receipt in the store.
func (c *Counter) note(rc store.Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.tallies[key{rc.User, rc.Room}]
	if el == nil {
		return
	}
	t := el.Value.(*tally)
	if len(t.news) >= maxNews {
		t.news, t.missed = nil, true
		return
	}
	t.news = append(t.news, rc)
}

func (c *Counter) takeNews(t *tally) (news []store.Receipt, missed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news, missed = t.news, t.missed
	t.news, t.missed = nil, false
	return news, missed
}

// add counts an event of a thread.
func (t *tally) add(thread string, highlight bool) {
	if thread == receipt.Main {
		t.counts.Notify++
		if highlight {
			t.counts.Highlight++
		}
		return
	}
	n, ok := t.counts.Threads[thread]
	if !ok && len(t.counts.Threads) >= maxThreads {
		return
	}
	n.Notify++
	if highlight {
		n.Highlight++
	}
	t.own()[thread] = n
}

// own returns the threads' counts for writing.
func (t *tally) own() map[string]Counts {
	if t.shared || t.counts.Threads == nil {
		t.counts.Threads = maps.Clone(t.counts.Threads)
		t.shared = false
	}
	if t.counts.Threads == nil {
		t.counts.Threads = map[string]Counts{}
	}
	return t.counts.Threads
}

// clear forgets the events of one thread, or with "" all.
func (t *tally) clear(thread string) {
	switch thread {
	case "":
		t.counts = Counts{}
	case receipt.Main:
		t.counts.Notify, t.counts.Highlight = 0, 0
	default:
		if _, ok := t.counts.Threads[thread]; ok {
			delete(t.own(), thread)
		}
	}
}

// count is what is counted in one thread, or with "" anywhere.
func (t *tally) count(thread string) int {
	switch thread {
	case "":
		return t.counts.Total().Notify
	case receipt.Main:
		return t.counts.Notify
	}
	return t.counts.Threads[thread].Notify
}
