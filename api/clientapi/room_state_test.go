package clientapi

import (
	"fmt"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

func TestSetState(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		for i, path := range []string{"/rooms/%s/state/m.room.topic", "/rooms/%s/state/m.room.topic/", "/_matrix/client/r0/rooms/%s/state/m.room.topic/"} {
			topic := fmt.Sprint("topic ", i)
			w.put("alice", `{"topic":"`+topic+`"}`, path, id).ok()
			for _, read := range []string{"/rooms/%s/state/m.room.topic", "/rooms/%s/state/m.room.topic/"} {
				if got := w.get("bob", read, id).ok()["topic"]; got != topic {
					t.Errorf("topic = %v, want %s", got, topic)
				}
			}
		}
		first := w.put("alice", `{"a":1}`, "/rooms/%s/state/%s/%s", id, "org.example/odd", "key/with ü").ok()["event_id"]
		if again := w.put("alice", `{ "a" : 1 }`, "/rooms/%s/state/%s/%s", id, "org.example/odd", "key/with ü").ok()["event_id"]; again != first {
			t.Error("setting what is so already made a new event")
		}
		var ev event
		w.get("bob", "/rooms/%s/state/%s/%s?format=event", id, "org.example/odd", "key/with ü").into(&ev)
		if ev.ID != first || *ev.StateKey != "key/with ü" || ev.Unsigned["membership"] != "join" {
			t.Errorf("the event is %+v", ev)
		}
		for _, tc := range []struct {
			who, body string
			status    int
			code      mxerr.Code
		}{
			{"bob", `{"topic":"mine"}`, 403, mxerr.Forbidden},
			{"guest", `{"topic":"mine"}`, 403, mxerr.Forbidden},
			{"", `{"topic":"mine"}`, 401, mxerr.MissingToken},
			{"alice", `{"topic":`, 400, mxerr.NotJSON},
			{"alice", `"topic"`, 400, mxerr.BadJSON},
			{"alice", `{"topic":1.5}`, 400, mxerr.BadJSON},
			{"alice", `{"topic":"a","topic":"b"}`, 400, mxerr.BadJSON},
			{"alice", `{"topic":"` + strings.Repeat("x", 70_000) + `"}`, 413, mxerr.TooLarge},
		} {
			w.put(tc.who, tc.body, "/rooms/%s/state/m.room.topic", id).fails(tc.status, tc.code)
		}
		w.put("alice", `{}`, "/rooms/%s/state/m.room.create", id).fails(403, mxerr.Forbidden)
		w.put("alice", `{"membership":"join"}`, "/rooms/%s/state/m.room.member/%s", id, "bob").fails(400, mxerr.InvalidParam)
		w.get("alice", "/rooms/%s/state/m.room.name", id).fails(404, mxerr.NotFound)
		w.get("alice", "/rooms/%s/state/m.room.topic?format=odd", id).fails(400, mxerr.InvalidParam)
	})
}

func TestNicknameInOneRoom(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		w.put("bob", `{"membership":"join","displayname":"Bobby"}`, "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok()
		w.put("alice", `{"membership":"join","displayname":"Fool"}`, "/rooms/%s/state/m.room.member/%s", id, "@bob:test").fails(403, mxerr.Forbidden)
		if got := w.get("alice", "/rooms/%s/state/m.room.member/%s", id, "@bob:test").ok()["displayname"]; got != "Bobby" {
			t.Errorf("bob is called %v", got)
		}
	})
}

func TestCanonicalAlias(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id, other := w.public(), w.create("alice", `{"room_alias_name":"other"}`)
		set := func(body string) reply { return w.put("alice", body, "/rooms/%s/state/m.room.canonical_alias", id) }
		set(`{"alias":"#none:test"}`).fails(400, mxerr.BadAlias)
		set(`{"alias":"#other:test"}`).fails(400, mxerr.BadAlias)
		set(`{"alt_aliases":["#other:test"]}`).fails(400, mxerr.BadAlias)
		set(`{"alias":"#far:elsewhere.example"}`).fails(400, mxerr.BadAlias)
		set(`{"alias":"none"}`).fails(400, mxerr.InvalidParam)
		set(`{"alias":5}`).fails(400, mxerr.BadJSON)
		set(`{"alt_aliases":"#a:test"}`).fails(400, mxerr.BadJSON)
		w.put("alice", `{"room_id":"`+id+`"}`, "/directory/room/%s", "#one:test").ok()
		w.put("alice", `{"room_id":"`+id+`"}`, "/directory/room/%s", "#two:test").ok()
		set(`{"alias":"#one:test","alt_aliases":["#two:test"]}`).ok()
		set(`{"alias":"","alt_aliases":["#two:test"]}`).ok()
		set(`{"alias":"#one:test","alt_aliases":["#two:test"]}`).ok()

		// An alias that is gone goes from the event, too.
		w.in("alice", "DELETE", "", "/directory/room/%s", "#two:test").ok()
		if c := w.state("alice", id, "m.room.canonical_alias"); c["alias"] != "#one:test" || len(c["alt_aliases"].([]any)) != 0 {
			t.Errorf("m.room.canonical_alias is %v", c)
		}
		w.in("alice", "DELETE", "", "/directory/room/%s", "#one:test").ok()
		if c := w.state("alice", id, "m.room.canonical_alias"); c["alias"] != nil {
			t.Errorf("m.room.canonical_alias is %v", c)
		}
		_ = other
	})
}

func TestSend(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		send := func(who, txn, body string) reply {
			return w.put(who, body, "/rooms/%s/send/m.room.message/%s", id, txn)
		}
		first := send("alice", "t1", `{"body":"hi"}`).ok()["event_id"]
		if again := send("alice", "t1", `{"body":"hi"}`).ok()["event_id"]; again != first {
			t.Error("a repeated request made another event")
		}
		if other := send("phone.alice", "t1", `{"body":"hi"}`).ok()["event_id"]; other == first {
			t.Error("another device got the event of the first")
		}
		if other := send("bob", "t1", `{"body":"hi"}`).ok()["event_id"]; other == first {
			t.Error("another user got the event of the first")
		}
		read := func(who string) event {
			var ev event
			w.get(who, "/rooms/%s/event/%s", id, first).into(&ev)
			return ev
		}
		if u := read("alice").Unsigned; u["transaction_id"] != "t1" || u["age"] == nil {
			t.Errorf("the sender's device reads %v", u)
		}
		if u := read("phone.alice").Unsigned; u["transaction_id"] != nil {
			t.Errorf("another device reads %v", u)
		}
		for _, tc := range []struct {
			who, body string
			status    int
			code      mxerr.Code
		}{
			{"guest", `{}`, 403, mxerr.Forbidden},
			{"carol", `{}`, 403, mxerr.Forbidden},
			{"", `{}`, 401, mxerr.MissingToken},
			{"alice", `{"body":`, 400, mxerr.NotJSON},
			{"alice", "{\"body\":\"\xff\"}", 400, mxerr.NotJSON},
			{"alice", `[]`, 400, mxerr.BadJSON},
			{"alice", `{"body":"a","body":"b"}`, 400, mxerr.BadJSON},
			{"alice", `{"n":9007199254740993}`, 400, mxerr.BadJSON},
			{"alice", `{"n":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`, 400, mxerr.BadJSON},
			{"alice", `{"body":"` + strings.Repeat("x", 66_000) + `"}`, 413, mxerr.TooLarge},
		} {
			send(tc.who, "bad", tc.body).fails(tc.status, tc.code)
		}
		w.put("alice", `{}`, "/rooms/%s/send/%s/1", id, strings.Repeat("t", 256)).fails(413, mxerr.TooLarge)
	})
}

func TestRedaction(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		for _, version := range []string{"1", "10", "11", "12"} { // one of each way to redact
			id := w.create("alice", `{"preset":"public_chat","room_version":"`+version+`"}`)
			w.post("bob", "", "/rooms/%s/join", id).ok()
			byBob, byAlice := w.say("bob", id, "oops"), w.say("alice", id, "mine")

			red := w.put("bob", `{"reason":"typo"}`, "/rooms/%s/redact/%s/r1", id, byBob).ok()["event_id"]
			if again := w.put("bob", `{"reason":"typo"}`, "/rooms/%s/redact/%s/r1", id, byBob).ok()["event_id"]; again != red {
				t.Errorf("version %s: a repeated request made another redaction", version)
			}
			var ev event
			w.get("alice", "/rooms/%s/event/%s", id, byBob).into(&ev)
			because, _ := ev.Unsigned["redacted_because"].(map[string]any)
			if len(ev.Content) != 0 || because["event_id"] != red || because["content"].(map[string]any)["reason"] != "typo" {
				t.Errorf("version %s: what was redacted reads %+v", version, ev)
			}
			if because["redacts"] != byBob {
				t.Errorf("version %s: redacts = %v", version, because["redacts"])
			}
			w.put("bob", `{}`, "/rooms/%s/redact/%s/r2", id, byAlice).fails(403, mxerr.Forbidden)
			w.put("bob", `{}`, "/rooms/%s/redact/%s/r3", id, "$none").fails(404, mxerr.NotFound)
			w.put("bob", `{"reason":3}`, "/rooms/%s/redact/%s/r4", id, byBob).fails(400, mxerr.BadJSON)

			// The same through /send.
			third := w.say("bob", id, "again")
			w.put("bob", `{"redacts":"`+third+`"}`, "/rooms/%s/send/m.room.redaction/s1", id).ok()
			w.get("alice", "/rooms/%s/event/%s", id, third).into(&ev)
			if _, ok := ev.Content["body"]; ok && ev.ID == third && len(ev.Content) > 0 {
				t.Errorf("version %s: /send did not redact: %+v", version, ev)
			}
			w.put("bob", `{}`, "/rooms/%s/send/m.room.redaction/s2", id).fails(400, mxerr.MissingParam)
		}
	})
}

func TestReactOnce(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		id := w.public("bob")
		target := w.say("alice", id, "cake")
		react := func(who, txn, key string) reply {
			return w.put(who, `{"m.relates_to":{"rel_type":"m.annotation","event_id":"`+target+`","key":"`+key+`"}}`, "/rooms/%s/send/m.reaction/%s", id, txn)
		}
		first := react("bob", "1", "yum").ok()["event_id"].(string)
		if again := react("bob", "1", "yum").ok()["event_id"]; again != first {
			t.Error("a repeated request made another event")
		}
		react("bob", "2", "yum").fails(400, mxerr.DuplicateAnnotation)
		react("phone.bob", "1", "yum").fails(400, mxerr.DuplicateAnnotation)
		react("bob", "3", "more").ok()
		react("alice", "1", "yum").ok()
		react("carol", "1", "yum").fails(403, mxerr.Forbidden)
		w.put("bob", `{}`, "/rooms/%s/redact/%s/r", id, first).ok()
		react("bob", "4", "yum").ok()
		w.put("bob", `{"m.relates_to":{"rel_type":"m.annotation","event_id":"$none","key":"x"}}`, "/rooms/%s/send/m.reaction/5", id).ok()
	})
}
