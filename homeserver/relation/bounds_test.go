package relation_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"hearth/homeserver/relation"
	"hearth/homeserver/room"
)

const mallory = "@mallory:test"

// as sends a message of somebody else's.
func (w *world) as(user, typ, relType, parent, text string, more string) *room.Event {
	w.t.Helper()
	content := fmt.Sprintf(`{"body":%q%s}`, text, more)
	if relType != "" {
		content = fmt.Sprintf(`{"body":%q,"m.relates_to":{"rel_type":%q,"event_id":%q}%s}`, text, relType, parent, more)
	}
	ev, err := w.rooms.Send(w.t.Context(), w.room.ID, room.Draft{Sender: user, Type: typ, Content: []byte(content), Device: "HOME", TxnID: typ + relType + text})
	if err != nil {
		w.t.Fatal(err)
	}
	return ev
}

func (w *world) joins(user string) {
	w.t.Helper()
	if err := w.rooms.Join(w.t.Context(), user, w.room.ID, room.JoinRequest{}); err != nil {
		w.t.Fatal(err)
	}
}

// pages asks until there is no more, and returns the texts and how many pages
// there were.
func (w *world) pages(q relation.Query) (texts []string, pages int) {
	w.t.Helper()
	for ; pages < 1000; pages++ {
		p, err := w.read.Children(w.t.Context(), q)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, ev := range p.Events {
			body, _ := ev.GetString("body")
			texts = append(texts, body)
		}
		if !p.More {
			return texts, pages + 1
		}
		q.From = p.Next
	}
	w.t.Fatal("there is no end")
	return nil, 0
}

func newestFirst(parent string, limit int) relation.Query {
	return relation.Query{Parent: parent, From: math.MaxInt64, End: math.MinInt64, Backward: true, Limit: limit}
}

func oldestFirst(parent string, limit int) relation.Query {
	return relation.Query{Parent: parent, From: math.MinInt64, End: math.MaxInt64, Limit: limit}
}

// Whoever ignores those who answer most finds the other answers all the same, both
// ways, and no page looks at too many.
func TestChildrenThatNobodySees(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.joins(mallory)
		w.read.Ignored = map[string]bool{mallory: true}
		w.read.Bounds.Rows = 50
		root := w.say("", "", "root")
		w.say(room.RelReference, root.ID, "first")
		for i := range 120 {
			w.as(mallory, "m.room.message", room.RelReference, root.ID, fmt.Sprint("noise ", i), "")
		}
		w.say(room.RelReference, root.ID, "last")
		if texts, pages := w.pages(newestFirst(root.ID, 5)); !slices.Equal(texts, []string{"last", "first"}) || pages != 3 {
			t.Errorf("back: %q on %d pages", texts, pages)
		}
		if texts, pages := w.pages(oldestFirst(root.ID, 5)); !slices.Equal(texts, []string{"first", "last"}) || pages != 3 {
			t.Errorf("on: %q on %d pages", texts, pages)
		}
	})
}

// A page at the bound exactly asks once more and finds nothing.
func TestChildrenAtTheBound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.read.Bounds.Rows = 3
		root := w.say("", "", "root")
		for i := range 3 {
			w.say(room.RelReference, root.ID, fmt.Sprint(i))
		}
		if texts, pages := w.pages(newestFirst(root.ID, 5)); !slices.Equal(texts, []string{"2", "1", "0"}) || pages != 2 {
			t.Errorf("%q on %d pages", texts, pages)
		}
	})
}

// Of a tree that is larger than what is looked at, every branch comes, both ways,
// once, and in order.
func TestLargeTree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.say("", "", "root")
		var want []string
		for i := range 30 {
			branch := w.say(room.RelThread, root.ID, fmt.Sprint("branch ", i))
			w.say(room.RelReference, branch.ID, fmt.Sprint("leaf ", i))
			want = append(want, fmt.Sprint("branch ", i), fmt.Sprint("leaf ", i))
		}
		for _, most := range []int{0, 7, 29, 30, 31} {
			w.read.Bounds.Tree = most
			on, back := oldestFirst(root.ID, 4), newestFirst(root.ID, 4)
			on.Recurse, back.Recurse = true, true
			if texts, _ := w.pages(on); !slices.Equal(texts, want) {
				t.Errorf("%d, on: %q", most, texts)
			}
			texts, _ := w.pages(back)
			slices.Reverse(texts)
			if !slices.Equal(texts, want) {
				t.Errorf("%d, back: %q", most, texts)
			}
		}
	})
}

// A message that is edited very often does not hide that another was edited, and
// edits by somebody else do not count.
func TestManyEdits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.joins(mallory)
		w.read.Bounds.Edits = 20
		fresh := `,"m.new_content":{"body":"x"}`
		soup, spam := w.say("", "", "soup"), w.as(mallory, "m.room.message", "", "", "spam", "")
		w.as(alice, "m.room.message", room.RelReplace, soup.ID, "hot soup", fresh)
		w.say(room.RelReference, soup.ID, "yum")
		for i := range 60 {
			w.as(mallory, "m.room.message", room.RelReplace, spam.ID, fmt.Sprint("spam ", i), fresh)
			w.as(mallory, "m.room.message", room.RelReplace, soup.ID, fmt.Sprint("cold soup ", i), fresh)
		}
		all, err := w.read.Bundles(t.Context(), []*room.Event{soup, spam})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []struct {
			ev   *room.Event
			text string
		}{{soup, "hot soup"}, {spam, "spam 5"}} { // of two edits in one millisecond, either counts
			b := all[want.ev.NID]
			if b == nil || b.Replace == nil {
				t.Errorf("%s: no edit is served", want.text)
				continue
			}
			if text, _ := b.Replace.GetString("body"); !strings.HasPrefix(text, want.text) {
				t.Errorf("%s: %s is served", want.text, text)
			}
		}
		if b := all[soup.NID]; b != nil && len(b.References) != 1 {
			t.Errorf("%d references", len(b.References))
		}
	})
}

// A thread in which somebody whom the user ignores writes most shows the newest of
// what is left.
func TestThreadOfIgnored(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.joins(mallory)
		w.read.Ignored = map[string]bool{mallory: true}
		root := w.say("", "", "root")
		mine := w.say(room.RelThread, root.ID, "mine")
		for i := range 60 {
			w.as(mallory, "m.room.message", room.RelThread, root.ID, fmt.Sprint("noise ", i), "")
		}
		all, err := w.read.Bundles(t.Context(), []*room.Event{root})
		if err != nil || all[root.NID] == nil || all[root.NID].Thread == nil {
			t.Fatalf("no thread: %v", err)
		}
		if th := all[root.NID].Thread; th.Latest.ID != mine.ID || th.Count != 1 {
			t.Errorf("the newest is %s, of %d", th.Latest.ID, th.Count)
		}
	})
}

// Only so many ignored people are left out of the counts, always the same.
func TestManyIgnored(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		root := w.say("", "", "root")
		w.say(room.RelThread, root.ID, "mine")
		w.read.Ignored = map[string]bool{}
		for i := range 101 {
			user := fmt.Sprintf("@noise%03d:test", i)
			w.read.Ignored[user] = true
			if i > 97 {
				w.joins(user)
				w.as(user, "m.room.message", room.RelThread, root.ID, user, "")
			}
		}
		for range 3 {
			all, err := w.read.Bundles(t.Context(), []*room.Event{root})
			if err != nil || all[root.NID] == nil || all[root.NID].Thread == nil {
				t.Fatalf("no thread: %v", err)
			}
			if n := all[root.NID].Thread.Count; n != 2 {
				t.Errorf("%d events count, want hers and that of the last of those whom she ignores", n)
			}
		}
	})
}

// A list of threads goes on where it stopped to look, even if it found nothing.
func TestThreadsThatDoNotCount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.joins(mallory)
		w.read.Bounds.Threads = 10
		hers := w.say("", "", "hers")
		w.say(room.RelThread, hers.ID, "mine")
		for i := range 35 {
			root := w.as(mallory, "m.room.message", "", "", fmt.Sprint("root ", i), "")
			w.as(mallory, "m.room.message", room.RelThread, root.ID, fmt.Sprint("noise ", i), "")
		}
		var found []*room.Event
		pages := 0
		for before := int64(math.MaxInt64); before != 0; pages++ {
			roots, next, err := w.read.Threads(t.Context(), before, 5, true)
			if err != nil {
				t.Fatal(err)
			}
			found, before = append(found, roots...), next
		}
		if len(found) != 1 || found[0].ID != hers.ID || pages != 4 {
			t.Errorf("%d threads on %d pages", len(found), pages)
		}
	})
}
