package clientapi

import (
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

// roomInfo is a room of /initialSync.
type roomInfo struct {
	ID         string  `json:"room_id"`
	Membership string  `json:"membership"`
	Visibility string  `json:"visibility"`
	Messages   chunk   `json:"messages"`
	State      []event `json:"state"`
	Invite     *event  `json:"invite"`
	Data       []event `json:"account_data"`
}

func TestRoomInitialSync(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.create("alice", `{"visibility":"public"}`)
		for _, s := range []string{"a", "b", "c", "d"} {
			w.say("alice", id, s)
		}
		r, err := w.doors.Engine.Room(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.doors.Personal.Put(t.Context(), "@alice:test", r.NID, "org.example.note", []byte(`{"note":1}`)); err != nil {
			t.Fatal(err)
		}
		var info roomInfo
		w.get("alice", "/rooms/%s/initialSync?limit=2", id).into(&info)
		if info.ID != id || info.Membership != "join" || info.Visibility != "public" || texts(info.Messages.Chunk) != "c d" || len(info.State) < 6 {
			t.Errorf("initialSync = %+v", info)
		}
		if len(info.Data) != 1 || info.Data[0].Type != "org.example.note" || info.Data[0].Content["note"] != 1.0 {
			t.Errorf("account data = %+v", info.Data)
		}
		var older chunk
		w.get("alice", "/rooms/%s/messages?dir=b&limit=2&from="+info.Messages.Start, id).into(&older)
		if texts(older.Chunk) != "b a" {
			t.Errorf("before it are %s", texts(older.Chunk))
		}
		w.get("bob", "/rooms/%s/initialSync", id).fails(403, mxerr.Forbidden)
	})
}

func TestInitialSyncAndEvents(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		joined, left := w.public("bob"), w.public("bob")
		invited := w.create("alice", `{"invite":["@bob:test"]}`)
		w.say("alice", left, "old")
		w.post("bob", "", "/rooms/%s/leave", left).ok()
		w.say("alice", joined, "new")

		type all struct {
			Rooms    []roomInfo `json:"rooms"`
			End      string     `json:"end"`
			Presence []event    `json:"presence"`
		}
		read := func(query string) (a all, found map[string]roomInfo) {
			w.get("bob", "/initialSync"+query).into(&a)
			found = map[string]roomInfo{}
			for _, r := range a.Rooms {
				found[r.ID] = r
			}
			return a, found
		}
		now, rooms := read("")
		if len(rooms) != 2 || texts(rooms[joined].Messages.Chunk) != "new" || rooms[joined].Membership != "join" || now.Presence == nil {
			t.Errorf("initialSync = %+v", now)
		}
		if inv := rooms[invited]; inv.Membership != "invite" || inv.Invite == nil || inv.Invite.Content["membership"] != "invite" || len(inv.State) != 0 {
			t.Errorf("the invite is %+v", inv)
		}
		if _, rooms := read("?archived=true&limit=5"); texts(rooms[left].Messages.Chunk) != "old" || rooms[left].Membership != "leave" {
			t.Errorf("the room that bob left is %+v", rooms[left])
		}
		w.get("bob", "/initialSync?archived=odd").fails(400, mxerr.InvalidParam)
		w.get("bob", "/initialSync?limit=-1").fails(400, mxerr.InvalidParam)

		var quiet, news chunk
		w.get("bob", "/events?from="+now.End).into(&quiet)
		if len(quiet.Chunk) != 0 {
			t.Errorf("nothing happened, and yet %+v", quiet.Chunk)
		}
		w.say("alice", joined, "hear")
		w.say("alice", left, "not")
		w.get("bob", "/events?timeout=30000&from="+quiet.End).into(&news)
		if texts(news.Chunk) != "hear" || news.Start == news.End {
			t.Errorf("events = %+v", news)
		}
		w.get("bob", "/events?from="+news.End).into(&quiet)
		if len(quiet.Chunk) != 0 {
			t.Errorf("what was read comes again: %+v", quiet.Chunk)
		}
		w.get("bob", "/events?from=odd").fails(400, mxerr.InvalidParam)
		w.get("bob", "/events?timeout=-1").fails(400, mxerr.InvalidParam)
	})
}

// A request to /events that waits is answered by what happens.
func TestEventsWaits(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		from := w.get("bob", "/initialSync").ok()["end"].(string)
		done := make(chan reply, 1)
		go func() { done <- w.get("bob", "/events?timeout=60000&from="+from) }()
		w.say("alice", id, "wake up")
		var news chunk
		(<-done).into(&news)
		if texts(news.Chunk) != "wake up" {
			t.Errorf("events = %+v", news)
		}

		// A server that stops lets nobody wait.
		stop := make(chan struct{})
		w.doors.Stopping = stop
		go func() { done <- w.get("bob", "/events?timeout=60000&from="+news.End) }()
		close(stop)
		if r := <-done; r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// Everybody may watch a room whose history is for everybody.
func TestPeekEvents(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		open := w.create("alice", `{"initial_state":[{"type":"m.room.history_visibility","content":{"history_visibility":"world_readable"}}]}`)
		closed := w.public()
		var info roomInfo
		w.get("guest", "/rooms/%s/initialSync", open).into(&info)
		w.say("alice", open, "hear")
		w.say("alice", closed, "not")
		var news chunk
		w.get("guest", "/events?room_id=%s&from=%s&timeout=30000", open, info.Messages.End).into(&news)
		if texts(news.Chunk) != "hear" {
			t.Errorf("events = %+v", news)
		}
		w.get("guest", "/events?room_id=%s", closed).fails(403, mxerr.Forbidden)
		if strings.Contains(string(w.get("guest", "/events?from=%s", info.Messages.End).body), "hear") {
			t.Error("a guest who is in no room reads events")
		}
	})
}
