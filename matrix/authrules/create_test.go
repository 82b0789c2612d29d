package authrules

import (
	"testing"

	"hearth/matrix/pdu"
)

func TestCreate(t *testing.T) {
	create := func(content string, extra ...string) func(w *world) *pdu.Event {
		return func(w *world) *pdu.Event {
			w.room = "!other:a.example"
			return w.event("m.room.create", alice, new(string), content, extra...)
		}
	}
	runRules(t, []rule{
		{"usual", 1, 10, create(`{"creator":"@alice:a.example","room_version":"1"}`), nil},
		{"usual", 11, 12, create(`{"room_version":"12"}`), nil},
		{"no room_version", 1, 0, create(`{"creator":"@alice:a.example"}`), nil},
		{"with previous events", 1, 0, create(`{"creator":"x"}`, "prev_events", `["$x:y"]`), ErrCreatePrevEvents},
		{"room id of another server", 1, 11, create(`{"creator":"x"}`, "room_id", `"!x:b.example"`), ErrCreateRoomServer},
		{"has a room id", 12, 12, create(`{}`, "room_id", `"!x:a.example"`), ErrCreateRoomID},
		{"unknown version", 1, 0, create(`{"creator":"x","room_version":"99"}`), ErrCreateVersion},
		{"version is a number", 1, 0, create(`{"creator":"x","room_version":1}`), ErrCreateVersion},
		{"no creator", 1, 10, create(`{}`), ErrCreateCreator},
		{"more creators", 12, 12, create(`{"additional_creators":["@bob:b.example","@:c.example"]}`), nil},
		{"more creators have no meaning", 1, 11, create(`{"creator":"x","additional_creators":7}`), nil},
		{"creators are no list", 12, 12, create(`{"additional_creators":"@bob:b.example"}`), ErrCreateCreators},
		{"creators are null", 12, 12, create(`{"additional_creators":null}`), ErrCreateCreators},
		{"a creator is a number", 12, 12, create(`{"additional_creators":["@bob:b.example",1]}`), ErrCreateCreators},
		{"a creator is no user id", 12, 12, create(`{"additional_creators":["bob"]}`), ErrCreateCreators},
	})
}

func TestRoomsThatDoNotExist(t *testing.T) {
	runRules(t, []rule{
		{"no create event", 0, 0, func(w *world) *pdu.Event { w.drop("m.room.create", ""); return w.message(bob, "m.room.message") }, ErrNoCreate},
		{"another room", 0, 0, func(w *world) *pdu.Event { w.room = "!other:a.example"; return w.message(bob, "m.room.message") }, ErrRoomID},
	})
}

func TestUnfederatedRooms(t *testing.T) {
	local := func(w *world, val string) {
		w.set("m.room.create", "", `{"creator":"`+alice+`","m.federate":`+val+`}`)
		w.room = w.create().RoomID
	}
	runRules(t, []rule{
		{"local user", 0, 0, func(w *world) *pdu.Event { local(w, "false"); return w.message(mod, "m.room.message") }, nil},
		{"foreign user", 0, 0, func(w *world) *pdu.Event { local(w, "false"); return w.message(bob, "m.room.message") }, ErrNotFederated},
		{"foreign join", 0, 0, func(w *world) *pdu.Event { local(w, "false"); return w.membership(bob, bob, "join") }, ErrNotFederated},
		{"federated room", 0, 0, func(w *world) *pdu.Event { local(w, "true"); return w.message(bob, "m.room.message") }, nil},
		{"not a boolean", 0, 0, func(w *world) *pdu.Event { local(w, `"false"`); return w.message(bob, "m.room.message") }, nil},
	})
}
