package push

import (
	"container/list"
	"fmt"
	"testing"

	"hearth/base/store"
	"hearth/homeserver/receipt"
)

func TestMemoryIsBounded(t *testing.T) {
	c := &Counter{tallies: map[key]*list.Element{}, order: list.New(), dirty: map[*tally]struct{}{}}
	kept := c.tally(key{"@often:test", 1})
	for i := range maxTallies + 100 {
		tl := c.tally(key{"@user:test", int64(i)})
		c.saveLater(tl)
		if i%1000 == 0 && c.tally(kept.key) != kept {
			t.Fatal("who is often here was forgotten")
		}
	}
	if len(c.tallies) != maxTallies || c.order.Len() != maxTallies || len(c.dirty) > maxDirty {
		t.Errorf("%d counts in memory, %d to be saved", len(c.tallies), len(c.dirty))
	}
	for range 100 {
		c.note(store.Receipt{Room: 1, User: "@often:test"})
	}
	if news, missed := c.takeNews(kept); len(news) > maxNews || !missed {
		t.Errorf("%d receipts wait, missed: %v", len(news), missed)
	}
	for i := range maxThreads + 100 {
		kept.add(fmt.Sprint("$", i), true)
	}
	kept.add(receipt.Main, false)
	if len(kept.counts.Threads) != maxThreads || kept.counts.Notify != 1 {
		t.Errorf("%d threads", len(kept.counts.Threads))
	}
}
