package feed_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"hearth/homeserver/room"
)

func (w *world) edit(user string, r *room.Room, of, text string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"body":"* %s","m.new_content":{"body":%q},"m.relates_to":{"rel_type":"m.replace","event_id":%q}}`, text, text, of)
	if _, err := w.rooms.Send(w.t.Context(), r.ID, room.Draft{Sender: user, Type: "m.room.message", Content: json.RawMessage(body)}); err != nil {
		w.t.Fatal(err)
	}
}

// Who comes to an event after its edits is told of them with it; who was there
// before gets each as it comes.
func TestBundlesInSync(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.create("@alice:test", room.CreateRequest{Preset: "public_chat"})
		early := &client{t: t, w: w, user: "@alice:test", device: "EARLY"}
		early.sync()
		ev, err := w.rooms.Send(t.Context(), r.ID, room.Draft{Sender: "@alice:test", Type: "m.room.message", Content: json.RawMessage(`{"body":"cake"}`)})
		if err != nil {
			t.Fatal(err)
		}
		w.edit("@alice:test", r, ev.ID, "pie")
		edit := func(events []event) string {
			t.Helper()
			for _, e := range events {
				if e.Content["body"] != "cake" {
					continue
				}
				relations, _ := e.Unsigned["m.relations"].(map[string]any)
				replace, _ := relations["m.replace"].(map[string]any)
				content, _ := replace["content"].(map[string]any)
				body, _ := content["body"].(string)
				return body
			}
			t.Error("there is no cake")
			return ""
		}
		if got := edit(early.sync().Rooms.Join[r.ID].Timeline.Events); got != "" {
			t.Errorf("a client that gets the edit is told of it with the event too: %s", got)
		}
		late := &client{t: t, w: w, user: "@alice:test", device: "LATE"}
		if got := edit(late.sync().Rooms.Join[r.ID].Timeline.Events); got != "* pie" {
			t.Errorf("a new client gets the edit %q", got)
		}
	})
}

func TestBundlesInSlidingSync(t *testing.T) {
	eachTown(t, func(t *testing.T, w *town) {
		r := w.room("room")
		ev := w.say(r, alice, "cake")
		send(t, w.rooms, r, room.Draft{Sender: alice, Type: "m.room.message", Content: json.RawMessage(`{"body":"re","m.relates_to":{"rel_type":"m.thread","event_id":"` + ev.ID + `"}}`)})
		a := w.phone(alice, `{"lists":{"all":{"ranges":[[0,9]],"timeline_limit":10,"required_state":[]}}}`).ask()
		for _, e := range a.Rooms[r.ID].Timeline {
			if e.EventID != ev.ID {
				continue
			}
			relations, _ := e.Unsigned["m.relations"].(map[string]any)
			thread, _ := relations["m.thread"].(map[string]any)
			if thread["count"] != 1.0 || thread["current_user_participated"] != true {
				t.Errorf("the root comes with %v", relations)
			}
			return
		}
		t.Error("the root is not there")
	})
}
