package gosdk

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"hearth/api/spectest"
	"hearth/e2e"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// TestTwoPeopleTalkThroughSlidingSync: as above, but bob's client uses
// simplified sliding sync (MSC4186), as Element X does. The SDK has no function
// for it, so it is asked by plain requests.
func TestTwoPeopleTalkThroughSlidingSync(t *testing.T) {
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		url := spectest.Proxy(t, h.URL)
		alice, bob := register(ctx, t, url, "alice"), register(ctx, t, url, "bob")
		room := createRoom(ctx, t, alice, bob)
		say(ctx, t, alice, room, "Before you came")

		first, err := slide(ctx, bob, "")
		if err != nil {
			t.Fatal(err)
		}
		shown, there := first.Rooms[room]
		if !there || !shown.Initial || shown.Name != "Two people" {
			t.Fatalf("bob's list shows %+v, want the room with its name for the first time", first.Rooms)
		}
		if got := texts(t, shown.Timeline); !slices.Equal(got, []string{"Before you came"}) {
			t.Errorf("the room opens with %q, want the last message", got)
		}
		if first.Lists["all"].Count != 1 {
			t.Errorf("the list counts %d rooms, want 1", first.Lists["all"].Count)
		}

		// Bob's next request waits while alice speaks.
		type news struct {
			timeline []*event.Event
			err      error
		}
		heard := make(chan news, 1)
		go func() {
			timeline, err := hear(ctx, bob, room, first.Pos)
			heard <- news{timeline, err}
		}()
		say(ctx, t, alice, room, "Is the hearth warm?")
		bobs := <-heard
		if bobs.err != nil {
			t.Fatal(bobs.err)
		}
		if got := texts(t, bobs.timeline); !slices.Equal(got, []string{"Is the hearth warm?"}) {
			t.Errorf("bob hears %q, want only what is new", got)
		}
	})
}

// slidingSync is the part of the answer that this test looks at.
type slidingSync struct {
	Pos   string `json:"pos"`
	Lists map[string]struct {
		Count int `json:"count"`
	} `json:"lists"`
	Rooms map[id.RoomID]struct {
		Name     string         `json:"name"`
		Initial  bool           `json:"initial"`
		Timeline []*event.Event `json:"timeline"`
	} `json:"rooms"`
}

// slide asks for what changed in who's rooms since pos, and waits for it.
func slide(ctx context.Context, who *mautrix.Client, pos string) (answer slidingSync, err error) {
	query := map[string]string{"timeout": "30000"}
	if pos != "" {
		query["pos"] = pos
	}
	url := who.BuildURLWithQuery(mautrix.ClientURLPath{"unstable", "org.matrix.simplified_msc3575", "sync"}, query)
	_, err = who.MakeRequest(ctx, http.MethodPost, url, map[string]any{
		"conn_id": "main",
		"lists": map[string]any{"all": map[string]any{
			"ranges":         [][]int{{0, 20}},
			"timeline_limit": 1,
			"required_state": [][]string{{"m.room.create", ""}, {"m.room.member", "$LAZY"}},
		}},
	}, &answer)
	return answer, err
}

// hear slides on from pos until something was said in room.
func hear(ctx context.Context, who *mautrix.Client, room id.RoomID, pos string) ([]*event.Event, error) {
	for {
		next, err := slide(ctx, who, pos)
		if err != nil || len(next.Rooms[room].Timeline) > 0 {
			return next.Rooms[room].Timeline, err
		}
		pos = next.Pos
	}
}

func texts(t *testing.T, timeline []*event.Event) []string {
	t.Helper()
	var all []string
	for _, ev := range timeline {
		if ev.Type == event.EventMessage {
			all = append(all, text(t, ev))
		}
	}
	return all
}
