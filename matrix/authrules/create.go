package authrules

import (
	"slices"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/pdu"
	"hearth/matrix/roomver"
)

// checkCreate is rule 1.
func checkCreate(ev *pdu.Event) error {
	v := ev.Version
	// 1.1
	if len(ev.PrevEvents) > 0 {
		return ErrCreatePrevEvents
	}
	// 1.2
	if v.RoomIDIsCreate {
		if ev.HasRoomID() {
			return ErrCreateRoomID
		}
	} else if mxid.ServerOf(ev.RoomID) != ev.Origin() {
		return ErrCreateRoomServer
	}
	// 1.3
	if raw, ok := ev.Get("room_version"); ok {
		id, isString := canonjson.String(raw)
		if _, known := roomver.Get(id); !isString || !known {
			return ErrCreateVersion
		}
	}
	// 1.4 of versions 1 to 10.
	if _, ok := ev.Get("creator"); !ok && !v.ImplicitCreator {
		return ErrCreateCreator
	}
	// 1.4 of version 12.
	if v.PrivilegedCreators && !validCreators(ev) {
		return ErrCreateCreators
	}
	// 1.5
	return nil
}

// validCreators reports whether additional_creators is absent or an array of
// user ids.
func validCreators(create *pdu.Event) bool {
	raw, ok := create.Get("additional_creators")
	if !ok {
		return true
	}
	valid := true
	isArray := canonjson.EachElem(raw, func(v []byte) bool {
		id, isString := canonjson.String(v)
		_, err := mxid.ParseUserID(id)
		valid = isString && err == nil
		return valid
	})
	return isArray && valid
}

// Creators lists the creators of the room: before version 11 content.creator,
// then the sender of the create event, and in version 12 also the additional
// creators. The slice must not be changed.
func Creators(create *pdu.Event) []string {
	return create.Memo(func() any { return creators(create) }).([]string)
}

func creators(create *pdu.Event) []string {
	if !create.Version.ImplicitCreator {
		id, _ := create.GetString("creator")
		return []string{id}
	}
	ids := []string{create.Sender}
	if !create.Version.PrivilegedCreators {
		return ids
	}
	raw, _ := create.Get("additional_creators")
	canonjson.EachElem(raw, func(v []byte) bool {
		if id, ok := canonjson.String(v); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		return true
	})
	return ids
}
