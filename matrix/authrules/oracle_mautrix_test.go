//go:build goexperiment.jsonv2

package authrules

import (
	"crypto/ed25519"
	"encoding/json/jsontext"
	"testing"
	"time"

	"hearth/matrix/canonjson"
	"hearth/matrix/pdu"
	"hearth/matrix/signing"

	"maunium.net/go/mautrix/federation/eventauth"
	theirs "maunium.net/go/mautrix/federation/pdu"
	"maunium.net/go/mautrix/id"
)

// TestAgainstMautrix asks a second oracle about the same kinds of rooms and events as
// TestAgainstOracle. It knows no versions 1 and 2. Where it disagrees, mautrixIsWrong
// must know why.
func TestAgainstMautrix(t *testing.T) { compare(t, 2, 3, askMautrix, mautrixIsWrong) }

// mautrixIsWrong says where mautrix is known not to follow the spec, or "" if this is
// no such case.
func mautrixIsWrong(w *world, ev *pdu.Event, _ error) string {
	if ev.Type == typeAliases && versionNumber(w) <= 5 {
		return "aliases have no rule of their own before version 6"
	}
	return ""
}

func askMautrix(t *testing.T, w *world, ev *pdu.Event) error {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	version := id.RoomVersion(w.v.ID)
	asked := forMautrix(ev)
	signatures, _ := canonjson.Get(ev.JSON, "signatures")
	canonjson.Each(signatures, func(server, _ []byte) bool {
		if err := asked.Sign(version, canonjson.Key(server), "ed25519:1", key); err != nil {
			t.Fatal(err)
		}
		return true
	})
	auth := []*theirs.PDU{}
	for _, k := range asked.AuthEventSelection(version) {
		if e := w.st(k.Type, k.StateKey); e != nil {
			auth = append(auth, forMautrix(e))
		}
	}
	return eventauth.Authorize(version, asked, auth, func([]id.EventID) ([]*theirs.PDU, error) {
		return []*theirs.PDU{forMautrix(w.create())}, nil // what the room is named after
	}, func(string, id.KeyID, time.Time) (id.SigningKey, time.Time, error) {
		return id.SigningKey(signing.EncodeBase64(pub)), time.Now().Add(time.Hour), nil
	})
}

func forMautrix(ev *pdu.Event) *theirs.PDU {
	p := &theirs.PDU{
		Content: jsontext.Value(ev.Content), Depth: 5, OriginServerTS: 1, PrevEvents: []id.EventID{"$prev"},
		RoomID: id.RoomID(ev.RoomID), Sender: id.UserID(ev.Sender), StateKey: ev.StateKey, Type: ev.Type,
	}
	p.InternalMeta.EventID = id.EventID(ev.ID)
	if ev.Type == typeCreate {
		p.PrevEvents = nil
	}
	return p
}
