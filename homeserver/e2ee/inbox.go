package e2ee

import (
	"context"
	"math"
	"sync"

	"hearth/base/db"
	"hearth/base/store"
)

// Bounds of what waits for devices.
const (
	// A device that does not fetch its messages loses the oldest: whoever was
	// away for so long has lost more than that.
	maxInbox     = 10_000   // messages
	maxInboxSize = 32 << 20 // bytes
	// How much may come beyond that before it is looked at.
	slackInbox     = 256
	slackInboxSize = 1 << 20
	// After a start, a device's inbox is looked at after so many messages; most
	// have next to nothing in it.
	graceInbox = 16

	// maxBatch and maxBatchSize bound the messages of one answer.
	maxBatch     = 100
	maxBatchSize = 1 << 20
	// maxInboxes bounds the inboxes of which something is kept in memory.
	maxInboxes = 50_000
)

// inboxes remembers which devices have messages: nearly all have none nearly
// always, and every /sync asks.
type inboxes struct {
	mu    sync.Mutex
	of    map[deviceKey]*inbox
	reset int64 // how often of was emptied
}

// inbox is what is known of one without asking the store. It errs towards more
// messages than there are, and then the store is asked.
type inbox struct {
	known bool  // all messages, else only those that came since
	first int64 // no message is older; never if there is none
	last  int64 // no message is newer
	// What came since the inbox was last held against its bounds.
	n, size int64
}

const never = math.MaxInt64

func newInboxes() *inboxes { return &inboxes{of: map[deviceKey]*inbox{}} }

// getLocked returns the entry of a device, making one that knows nothing yet.
func (i *inboxes) getLocked(key deviceKey) *inbox {
	x := i.of[key]
	if x == nil {
		if len(i.of) >= maxInboxes {
			clear(i.of)
			i.reset++
		}
		x = &inbox{first: never, n: slackInbox - graceInbox}
		i.of[key] = x
	}
	return x
}

// put notes a message that was committed; trimmed, that the inbox was held
// against its bounds.
func (i *inboxes) put(m *store.DeviceMessage, trimmed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	x := i.getLocked(deviceKey{m.User, m.Device})
	x.first, x.last = min(x.first, m.Pos), max(x.last, m.Pos)
	x.n, x.size = x.n+1, x.size+int64(len(m.Message))
	if trimmed {
		x.n, x.size = 0, 0
	}
}

// due reports whether an inbox is to be held against its bounds.
func (i *inboxes) due(key deviceKey) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	x := i.of[key]
	return x != nil && (x.n >= slackInbox || x.size >= slackInboxSize)
}

// deleted notes that the messages up to a position are gone.
func (i *inboxes) deleted(key deviceKey, upto int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	x := i.of[key]
	if x == nil || !x.known || x.first > upto {
		return
	}
	x.first = upto + 1
	if x.last <= upto {
		x.first = never
	}
}

// inboxEnds returns between which positions a device may have messages; first
// is never if it has none.
func (e *Engine) inboxEnds(ctx context.Context, key deviceKey) (first, last int64, err error) {
	i := e.inboxes
	i.mu.Lock()
	if x := i.of[key]; x != nil && x.known {
		defer i.mu.Unlock()
		return x.first, x.last, nil
	}
	reset := i.reset
	i.mu.Unlock()
	err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		first, last, err = store.InboxEnds(tx, key.user, key.device)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if first == 0 {
		first = never
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.reset != reset {
		return 0, never, nil // what came meanwhile may be forgotten
	}
	x := i.getLocked(key)
	x.known, x.first, x.last = true, min(x.first, first), max(x.last, last)
	return x.first, x.last, nil
}

// Fetch returns the messages of a device with positions in (after, upto], the
// oldest first and at most a batch (at most limit, if that is not 0), and the
// position up to which that is all. What was fetched before, up to after, is
// removed: the client has it, or it would not ask for what comes behind.
func (e *Engine) Fetch(ctx context.Context, user, device string, after, upto int64, limit int) (messages [][]byte, done int64, err error) {
	if device == "" {
		return nil, upto, nil
	}
	if after > upto {
		after = 0 // from a future that a restored database does not know
	}
	key := deviceKey{user, device}
	first, last, err := e.inboxEnds(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if first <= after {
		if err := e.acks.add(ctx, e, key, after); err != nil {
			return nil, 0, err
		}
	}
	if first == never || last <= after {
		return nil, upto, nil
	}
	n := maxBatch
	if limit > 0 {
		n = min(limit, maxBatch)
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		rows, more, err := store.DeviceMessages(tx, user, device, after, upto, n, maxBatchSize)
		messages, done = nil, upto
		for _, m := range rows {
			messages = append(messages, m.Message)
		}
		if more {
			done = rows[len(rows)-1].Pos
		}
		return err
	})
	return messages, done, err
}

// dropInbox removes all messages of a device, together with the device.
func (e *Engine) dropInbox(tx *db.Tx, user, device string) error {
	tx.AfterCommit(func() {
		e.inboxes.mu.Lock()
		defer e.inboxes.mu.Unlock()
		delete(e.inboxes.of, deviceKey{user, device})
	})
	return store.DeleteDeviceMessages(tx, user, device, never)
}
