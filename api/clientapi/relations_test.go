package clientapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/matrix/mxerr"
)

// relate sends a message that belongs to another event.
func (w *town) relate(who, room, relType, parent, text string) string {
	w.t.Helper()
	body := fmt.Sprintf(`{"msgtype":"m.text","body":%q,"m.new_content":{"body":%q},"m.relates_to":{"rel_type":%q,"event_id":%q,"key":%q}}`, text, text, relType, parent, text)
	id, _ := w.put(who, body, "/rooms/%s/send/m.room.message/%s", room, "rel-"+text).ok()["event_id"].(string)
	return id
}

// related is a page of relations or threads.
type related struct {
	Chunk []event `json:"chunk"`
	Next  string  `json:"next_batch"`
	Prev  string  `json:"prev_batch"`
	Depth int     `json:"recursion_depth"`
}

func (w *town) relations(who, room, rest string) (r related) {
	w.t.Helper()
	w.get(who, "/_matrix/client/v1/rooms/"+room+"/relations/"+rest).into(&r)
	return r
}

// bundle is m.relations of an event.
type bundle struct {
	Replace    *event                               `json:"m.replace"`
	Reference  *struct{ Chunk []map[string]string } `json:"m.reference"`
	Annotation any                                  `json:"m.annotation"`
	Thread     *struct {
		Latest       event `json:"latest_event"`
		Count        int   `json:"count"`
		Participated bool  `json:"current_user_participated"`
	} `json:"m.thread"`
}

func (ev event) bundle(t testing.TB) (b bundle) {
	t.Helper()
	raw, _ := json.Marshal(ev.Unsigned["m.relations"])
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChildrenOfAnEvent(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		root := w.say("alice", id, "root")
		var all []string
		for i := range 10 {
			all = append(all, w.relate("bob", id, "m.thread", root, fmt.Sprint("reply ", i)))
		}
		edit := w.relate("alice", id, "m.replace", root, "edited")
		deep := w.relate("alice", id, "m.annotation", all[9], "+1")
		slices.Reverse(all)

		names := func(r related) (ids []string) {
			for _, ev := range r.Chunk {
				ids = append(ids, ev.ID)
			}
			return ids
		}
		check := func(what string, got related, want []string) {
			t.Helper()
			if !slices.Equal(names(got), want) {
				t.Errorf("%s: %v, want %v", what, names(got), want)
			}
		}
		check("all", w.relations("bob", id, root), append([]string{edit}, all...))
		check("a type", w.relations("bob", id, root+"/m.thread"), all)
		check("a type of event", w.relations("bob", id, root+"/m.thread/m.room.message"), all)
		check("another type of event", w.relations("bob", id, root+"/m.thread/m.sticker"), nil)
		deeper := w.relations("bob", id, root+"?recurse=true&limit=3")
		check("recursively", deeper, []string{deep, edit, all[0]})
		if deeper.Depth != 3 {
			t.Errorf("recursion_depth = %d", deeper.Depth)
		}
		check("recursively, the next", w.relations("bob", id, root+"?recurse=true&limit=2&from="+deeper.Next), all[1:3])

		page := w.relations("bob", id, root+"/m.thread?limit=3")
		check("first page", page, all[:3])
		page = w.relations("bob", id, root+"/m.thread?limit=3&from="+page.Next)
		check("second page", page, all[3:6])
		if page.Prev == "" {
			t.Error("the second page has no way back")
		}
		page = w.relations("bob", id, root+"/m.thread?limit=4&from="+page.Next)
		if check("last page", page, all[6:]); page.Next != "" {
			t.Error("the last page goes on")
		}
		slices.Reverse(all)
		page = w.relations("bob", id, root+"/m.thread?limit=3&dir=f")
		check("forward", page, all[:3])
		check("forward, second page", w.relations("bob", id, root+"/m.thread?limit=3&dir=f&from="+page.Next), all[3:6])

		v1 := "/_matrix/client/v1/rooms/" + id + "/relations/"
		w.get("carol", v1+root).fails(404, mxerr.NotFound)
		w.get("bob", v1+"$none").fails(404, mxerr.NotFound)
		for _, bad := range []string{"?dir=x", "?limit=0", "?from=odd", "?recurse=perhaps"} {
			w.get("bob", v1+root+bad).fails(400, mxerr.InvalidParam)
		}
		w.put("bob", `{"m.relates_to":{"rel_type":"m.thread","event_id":"`+all[0]+`"}}`, "/rooms/%s/send/m.room.message/nest", id).fails(400, mxerr.Unknown)
	})
}

// What is served with an event: its newest edit, its thread, who refers to it.
func TestBundles(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob", "carol")
		root := w.say("alice", id, "root")
		read := func(who string) bundle {
			t.Helper()
			var ev event
			w.get(who, "/rooms/%s/event/%s", id, root).into(&ev)
			return ev.bundle(t)
		}
		if b := read("bob"); b != (bundle{}) {
			t.Errorf("an event without children has %+v", b)
		}
		w.relate("bob", id, "m.replace", root, "forged")
		w.relate("bob", id, "m.annotation", root, "+1")
		if b := read("bob"); b != (bundle{}) {
			t.Errorf("an edit by somebody else counts: %+v", b)
		}
		w.relate("alice", id, "m.replace", root, "one")
		for now := time.Now().UnixMilli(); now == time.Now().UnixMilli(); { // of two edits in one millisecond the ids decide
		}
		second := w.relate("alice", id, "m.replace", root, "two")
		if b := read("bob"); b.Replace == nil || b.Replace.text() != "two" || b.Replace.Unsigned["membership"] != "join" {
			t.Errorf("the edit is %+v", b.Replace)
		}
		w.put("alice", `{}`, "/rooms/%s/redact/%s/r1", id, second).ok()
		if b := read("bob"); b.Replace == nil || b.Replace.text() != "one" {
			t.Errorf("without the newest edit it is %+v", b.Replace)
		}
		ref := w.relate("bob", id, "m.reference", root, "ref")
		if b := read("bob"); b.Reference == nil || len(b.Reference.Chunk) != 1 || b.Reference.Chunk[0]["event_id"] != ref {
			t.Errorf("references = %+v", b.Reference)
		}
		first := w.relate("bob", id, "m.thread", root, "first")
		last := w.relate("carol", id, "m.thread", root, "last")
		w.relate("carol", id, "m.replace", last, "last edited")
		for who, participated := range map[string]bool{"alice": true, "bob": true, "guest": false} {
			if who == "guest" {
				continue
			}
			th := read(who).Thread
			if th == nil || th.Count != 2 || th.Latest.ID != last || th.Participated != participated {
				t.Fatalf("%s sees the thread %+v", who, th)
			}
			if e := th.Latest.bundle(t).Replace; e == nil || e.text() != "last edited" {
				t.Errorf("the newest event of the thread comes with the edit %+v", e)
			}
		}
		// Ignored people do not count.
		if err := w.doors.Personal.Put(context.Background(), "@bob:test", 0, "m.ignored_user_list", []byte(`{"ignored_users":{"@carol:test":{}}}`)); err != nil {
			t.Fatal(err)
		}
		if th := read("bob").Thread; th == nil || th.Count != 1 || th.Latest.ID != first {
			t.Errorf("bob, who ignores carol, sees the thread %+v", th)
		}
		w.put("carol", `{}`, "/rooms/%s/redact/%s/r2", id, last).ok()
		if th := read("alice").Thread; th == nil || th.Count != 1 || th.Latest.ID != first {
			t.Errorf("without its last event the thread is %+v", th)
		}
		// The same wherever the event is served.
		var page chunk
		w.get("alice", "/rooms/%s/messages?dir=f&limit=100", id).into(&page)
		i := slices.IndexFunc(page.Chunk, func(ev event) bool { return ev.ID == root })
		if b := page.Chunk[i].bundle(t); b.Thread == nil || b.Replace == nil {
			t.Errorf("/messages has %+v", b)
		}
		var around struct{ Event event }
		w.get("alice", "/rooms/%s/context/%s", id, root).into(&around)
		if b := around.Event.bundle(t); b.Thread == nil || b.Replace == nil {
			t.Errorf("/context has %+v", b)
		}
		// A redacted event has no edits, and keeps the rest.
		w.put("alice", `{}`, "/rooms/%s/redact/%s/r3", id, root).ok()
		if b := read("alice"); b.Replace != nil || b.Thread == nil {
			t.Errorf("redacted, it has %+v", b)
		}
	})
}

func TestThreadsOfARoom(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob", "carol")
		var roots []string
		for i := range 5 {
			roots = append(roots, w.say("alice", id, fmt.Sprint("root ", i)))
		}
		for i, root := range roots {
			w.relate("carol", id, "m.thread", root, fmt.Sprint("reply ", i))
		}
		w.relate("bob", id, "m.thread", roots[1], "bob's")
		list := func(who, query string) (string, string) {
			t.Helper()
			var r related
			w.get(who, "/_matrix/client/v1/rooms/"+id+"/threads"+query).into(&r)
			var names []string
			for _, ev := range r.Chunk {
				names = append(names, strings.TrimPrefix(ev.text(), "root "))
				if ev.bundle(t).Thread == nil {
					t.Errorf("%s%s has no thread", ev.text(), query)
				}
			}
			return strings.Join(names, " "), r.Next
		}
		if got, next := list("alice", ""); got != "1 4 3 2 0" || next != "" {
			t.Errorf("threads = %s, %s", got, next)
		}
		first, next := list("alice", "?limit=2")
		second, next2 := list("alice", "?limit=2&from="+next)
		third, end := list("alice", "?limit=2&from="+next2)
		if first != "1 4" || second != "3 2" || third != "0" || end != "" {
			t.Errorf("pages: %s, %s, %s, %q", first, second, third, end)
		}
		if got, _ := list("bob", "?include=participated"); got != "1" {
			t.Errorf("bob's threads = %s", got)
		}
		if got, _ := list("alice", "?include=participated"); got != "1 4 3 2 0" {
			t.Errorf("alice's threads = %s", got)
		}
		for _, bad := range []string{"?include=some", "?limit=0", "?from=odd"} {
			w.get("bob", "/_matrix/client/v1/rooms/"+id+"/threads"+bad).fails(400, mxerr.InvalidParam)
		}
		w.get("dave", "/_matrix/client/v1/rooms/"+id+"/threads").fails(403, mxerr.Forbidden)
	})
}

// Filters by what an event is to others, and others to it.
func TestFilterByRelation(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		var start chunk
		w.get("alice", "/rooms/%s/messages?dir=b&limit=1", id).into(&start)
		root := w.say("alice", id, "root")
		w.relate("bob", id, "m.thread", root, "thread")
		w.relate("alice", id, "m.reference", root, "reference")
		for filter, want := range map[string]string{
			`{"org.matrix.msc3874.rel_types":["m.thread"]}`:                                 "thread",
			`{"org.matrix.msc3874.rel_types":["m.thread","m.reference"]}`:                   "thread reference",
			`{"org.matrix.msc3874.not_rel_types":["m.thread"]}`:                             "root reference",
			`{"related_by_rel_types":["m.thread"]}`:                                         "root",
			`{"related_by_rel_types":["m.annotation"]}`:                                     "",
			`{"related_by_senders":["@bob:test"]}`:                                          "root",
			`{"related_by_senders":["@carol:test"]}`:                                        "",
			`{"related_by_senders":["@bob:test"],"related_by_rel_types":["m.reference"]}`:   "",
			`{"related_by_senders":["@alice:test"],"related_by_rel_types":["m.reference"]}`: "root",
		} {
			var page chunk
			w.get("alice", "/rooms/%s/messages?dir=f&from=%s&filter=%s", id, start.Start, filter).into(&page)
			if got := texts(page.Chunk); got != want {
				t.Errorf("%s shows %q, want %q", filter, got, want)
			}
		}
	})
}
