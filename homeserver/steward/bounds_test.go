package steward

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math"
	"testing"

	"hearth/base/db"
	"hearth/base/notify"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// TestJobsAreBounded: an operator's script cannot pile up jobs without end, and
// one that did not fit does not run after a restart; lists of jobs end.
func TestJobsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		s := New(Config{DB: d}) // not started: nothing is done
		for i := range maxQueue {
			if _, err := s.begin(t.Context(), KindRedact, fmt.Sprintf("@u%d:test", i), struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.begin(t.Context(), KindRedact, "@late:test", struct{}{}); err == nil || mxerr.From(err).Code != mxerr.LimitExceeded {
			t.Errorf("one more than fit: %v", err)
		}
		if late, err := s.Jobs(t.Context(), "@late:test"); err != nil || len(late) != 1 || late[0].Status != "failed" {
			t.Errorf("the job that did not fit: %+v, %v", late, err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range maxTasks {
				j := store.Job{ID: fmt.Sprint(i), Kind: KindPurge, Target: "!r:test", Status: "complete", At: int64(i), Request: []byte("{}"), Result: []byte("{}")}
				if err := store.SetJob(tx, j); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := s.Tasks(t.Context(), "", "", "", 0); err != nil || len(all) != maxTasks {
			t.Errorf("a list of %d jobs, %v", len(all), err)
		}
	})
}

// nobody has a display name.
type nobody struct{}

func (nobody) Profile(context.Context, string) (string, string, error) { return "", "", nil }

// TestFailuresAreBounded: of what cannot be taken back only so much is told, and
// what can be is, whatever failed before.
func TestFailuresAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		rooms := room.New(room.Config{DB: d, Hub: notify.NewHub(d.Position()), Server: "test", KeyID: "ed25519:1", Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Profiles: nobody{}})
		s := New(Config{DB: d, Rooms: rooms})
		out := &Redacted{Failed: map[string]string{}}
		for i := range maxFailed - 1 {
			out.Failed[fmt.Sprint(i)] = "earlier"
		}
		redact := func(by string, want int) {
			t.Helper()
			r, err := rooms.Create(t.Context(), "@alice:test", room.CreateRequest{Preset: "public_chat"})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := rooms.Send(t.Context(), r.ID, room.Draft{Sender: "@alice:test", Type: "m.room.message", Content: []byte(`{"body":"spam"}`)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.redactIn(t.Context(), r, "@alice:test", RedactRequest{UseAdmin: by}, out); err != nil {
				t.Error(err)
			}
			events, err := rooms.Before(t.Context(), r, math.MaxInt64, math.MinInt64, 100)
			gone := 0
			for _, ev := range events {
				if ev.Type == "m.room.message" && ev.RedactedBy != 0 {
					gone++
				}
			}
			if err != nil || gone != want || len(out.Failed) != maxFailed {
				t.Errorf("%d of 2 were taken back, and %d failures told, %v", gone, len(out.Failed), err)
			}
		}
		redact("@stranger:test", 0)
		redact("@alice:test", 2)
	})
}
