package push

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"hearth/base/store"
	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

// Members whose rules are equal are to hear of the same messages, but for those that
// are about one of them. A ledger is that, counted once for all of them: what
// somebody has not read is the difference between two of its marks. Whoever a
// message was about since they last asked is counted for alone.

const (
	// enough is how many members a room has that is worth a ledger.
	enough = 8
	// maxMarks bounds the events that a ledger remembers; then it forgets the older
	// half of them. Who comes from further back is counted for alone.
	maxMarks = 4096
	// maxPersonal bounds the users of whom it knows that something was about them.
	maxPersonal = 512
	// maxLedgers bounds the ledgers, of up to 100 kB each.
	maxLedgers = 128
)

// ledger counts what the members of a room who have equal rules are to hear of in
// its main timeline.
type ledger struct {
	mu       sync.Mutex
	members  int              // joined to the room: rules may ask
	marks    []mark           // after each event; the first is where it begins
	upto     int64            // place up to which events are considered
	personal map[string]int64 // by user, the place of the last event that was about them
	apart    int64            // place of the last event that is to be judged for each
}

// mark is how much was to be heard of up to a place in the timeline.
type mark struct {
	place             int64
	notify, highlight int32
}

// ledgers are those in use.
type ledgers struct {
	mu  sync.Mutex
	all map[ledgerKey]*ledger
}

type ledgerKey struct {
	room  int64
	rules sameRules
}

func (ls *ledgers) of(k ledgerKey) *ledger {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.all[k]
	if l == nil {
		if len(ls.all) >= maxLedgers {
			clear(ls.all)
		}
		l = &ledger{}
		ls.all[k] = l
	}
	return l
}

// together counts the events with places in (after, upto] by the ledger of all who
// have the user's rules. It reports false if that cannot be, with nothing counted.
func (c *Counter) together(ctx context.Context, r *room.Room, t *tally, after, upto int64) (bool, error) {
	own, err := c.rulesOf(ctx, t.user)
	if err != nil || own.wantsName || r.Current().Joined < enough {
		return false, err
	}
	ignored, err := c.Personal.Ignored(ctx, t.user)
	if err != nil || len(ignored) > 0 {
		return false, err
	}
	l := c.ledgers.of(ledgerKey{r.NID, own.same})
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := int(r.Current().Joined); l.members != n {
		l.members = n
		l.begin(after)
	}
	anybody := member{rules: own.rules.For("")}
	anybody.context.Members = l.members
	if err := c.extend(ctx, r, l, anybody, upto); err != nil {
		return false, err
	}
	if after < l.marks[0].place || after < max(l.personal[t.user], l.apart) {
		return false, nil
	}
	to := l.at(upto)
	from := min(l.at(max(after, t.readAll, t.readIn[receipt.Main])), to)
	t.counts.Notify += int(l.marks[to].notify - l.marks[from].notify)
	t.counts.Highlight += int(l.marks[to].highlight - l.marks[from].highlight)
	t.evaluated += to - from
	t.upto = max(t.upto, upto)
	return true, nil
}

// begin forgets what was before a place.
func (l *ledger) begin(place int64) {
	l.marks = append(l.marks[:0], mark{place: place})
	l.upto = place
	l.personal, l.apart = map[string]int64{}, 0
}

// at is the number of the last mark up to a place, which is not before the first.
func (l *ledger) at(place int64) int {
	i, _ := slices.BinarySearchFunc(l.marks, place+1, func(m mark, place int64) int { return cmp.Compare(m.place, place) })
	return i - 1
}

// extend considers the events up to a place. l.mu is held.
func (c *Counter) extend(ctx context.Context, r *room.Room, l *ledger, anybody member, upto int64) error {
	if upto <= l.upto {
		return nil
	}
	events, more, err := c.Rooms.Since(ctx, r, l.upto, upto, maxMarks/2)
	if err != nil {
		return err
	}
	if more {
		l.begin(events[0].Ord - 1)
	}
	for _, ev := range events {
		if err := c.enter(ctx, r, l, anybody, ev); err != nil {
			return err
		}
		l.upto = ev.Ord
	}
	l.upto = upto
	return nil
}

// enter considers one event.
func (c *Counter) enter(ctx context.Context, r *room.Room, l *ledger, anybody member, ev *room.Event) error {
	f := c.facts.of(c, r, ev)
	about := append(f.fields.Mentioned(), ev.Sender)
	if ev.Type == "m.room.member" && ev.StateKey != nil {
		about = append(about, *ev.StateKey)
	}
	if ev.Type == "m.room.redaction" || len(l.personal)+len(about) > maxPersonal {
		// Of what came before, something may be gone that others have not counted.
		l.begin(ev.Ord)
		return nil
	}
	for _, user := range about {
		l.personal[user] = ev.Ord
	}
	next := l.marks[len(l.marks)-1]
	next.place = ev.Ord
	if ev.Flags&(store.Rejected|store.SoftFailed) == 0 && ev.RedactedBy == 0 {
		thread, err := f.thread(ctx)
		if err != nil {
			return err
		}
		if thread != receipt.Main {
			l.apart = ev.Ord
		} else {
			res, err := c.evaluate(ctx, r, anybody, ev)
			if err != nil {
				return err
			}
			next.add(res)
		}
	}
	l.marks = append(l.marks, next)
	if len(l.marks) > maxMarks {
		l.trim()
	}
	return nil
}

func (m *mark) add(res pushrule.Result) {
	if res.Notify {
		m.notify++
	}
	if res.Highlight {
		m.highlight++
	}
}

// trim forgets the older half.
func (l *ledger) trim() {
	l.marks = append(l.marks[:0], l.marks[len(l.marks)/2:]...)
	for user, place := range l.personal {
		if place <= l.marks[0].place {
			delete(l.personal, user)
		}
	}
}
