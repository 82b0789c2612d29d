package account

import (
	"fmt"
	"sync"
	"time"

	"hearth/base/store"
)

const (
	// maxBookmarks bounds the lists of users that are read at the same time.
	maxBookmarks = 256
	// countFor is how long a list goes by one count of all who match.
	countFor = time.Minute
)

// bookmarks remember where pages of users ended. Admin tools ask for the users
// after the first so many; to skip those anew for every page would cost the more
// the further a tool gets. What is not remembered, here or by another process, is
// skipped.
type bookmarks struct {
	mu    sync.Mutex
	marks map[string]bookmark
	order []string // oldest first
}

type bookmark struct {
	behind  *store.UserPlace // nil for the start
	total   int64
	counted time.Time
}

func newBookmarks() *bookmarks { return &bookmarks{marks: map[string]bookmark{}} }

// bookmarkName is a list and a place in it.
func bookmarkName(f UserFilter, from int64) string {
	flag := func(b *bool) string {
		if b == nil {
			return "-"
		}
		return fmt.Sprint(*b)
	}
	return fmt.Sprintf("%q %q %q %q %q %q %v %s %s %s %s %d", f.Name, f.ID, f.Exactly, f.After, f.NotKinds, f.OrderBy, f.Descending,
		flag(f.Guest), flag(f.Admin), flag(f.Deactivated), flag(f.Locked), from)
}

// at is where the page of f starts, and whether it is known how many match.
func (b *bookmarks) at(f UserFilter, now time.Time) (mark bookmark, counted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mark, ok := b.marks[bookmarkName(f, f.From)]
	return mark, ok && now.Sub(mark.counted) < countFor
}

// put remembers where the page of f ended.
func (b *bookmarks) put(f UserFilter, start bookmark, page []store.UserEntry) {
	if len(page) == 0 || !f.Deep() {
		return
	}
	last := page[len(page)-1]
	start.behind = &store.UserPlace{ID: last.ID, Created: last.Created}
	name := bookmarkName(f, f.From+int64(len(page)))
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.marks[name]; !ok {
		b.order = append(b.order, name)
		if len(b.order) > maxBookmarks {
			delete(b.marks, b.order[0])
			b.order = b.order[1:]
		}
	}
	b.marks[name] = start
}
