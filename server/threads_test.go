package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"hearth/e2e"
)

// followed is which threads a user follows, or does no more, by room.
type followed struct {
	On   map[string]map[string]any `json:"subscribed"`
	Off  map[string]map[string]any `json:"unsubscribed"`
	Prev string                    `json:"prev_batch"`
	End  string                    `json:"end"`
}

func (f followed) roots(room string) []string {
	var out []string
	for root := range f.On[room] {
		out = append(out, root)
	}
	for root := range f.Off[room] {
		out = append(out, "not "+root)
	}
	slices.Sort(out)
	return out
}

func slideThreads(t *testing.T, who *e2e.Client, pos string, limit int) (followed, string) {
	t.Helper()
	body := map[string]any{"extensions": map[string]any{"io.element.msc4308.thread_subscriptions": map[string]any{"enabled": true, "limit": limit}}}
	var res struct {
		Pos string
		Ext struct {
			Threads followed `json:"io.element.msc4308.thread_subscriptions"`
		} `json:"extensions"`
	}
	if err := who.Do(t.Context(), http.MethodPost, slidePath+"?timeout=0&pos="+url.QueryEscape(pos), body, &res); err != nil {
		t.Fatal(err)
	}
	return res.Ext.Threads, res.Pos
}

func pageThreads(t *testing.T, who *e2e.Client, query url.Values) (f followed) {
	t.Helper()
	query.Set("dir", "b")
	if err := who.Do(t.Context(), http.MethodGet, "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions?"+query.Encode(), nil, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestThreadSubscriptionsComeInPages: sliding sync has the newest changes, and
// says where a client finds the others.
func TestThreadSubscriptionsComeInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		alice := h.user(t, "alice")
		r := room(t, alice)
		var roots []string
		follow := func(i int, method string) {
			t.Helper()
			path := "/_matrix/client/unstable/io.element.msc4306/rooms/" + url.PathEscape(r) + "/thread/" + url.PathEscape(roots[i]) + "/subscription"
			if err := alice.Do(t.Context(), method, path, struct{}{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			id, err := say(t.Context(), alice, r, fmt.Sprint(i), "root")
			if err != nil {
				t.Fatal(err)
			}
			roots = append(roots, id)
			follow(i, http.MethodPut)
		}
		want := func(what string, got followed, more bool, roots ...string) {
			t.Helper()
			slices.Sort(roots)
			if !slices.Equal(got.roots(r), roots) || more != (got.Prev+got.End != "") {
				t.Errorf("%s: %v, more %q, want %v", what, got.roots(r), got.Prev+got.End, roots)
			}
		}
		first, pos := slideThreads(t, alice, "", 2)
		want("the newest", first, true, roots[3], roots[4])
		page := pageThreads(t, alice, url.Values{"from": {first.Prev}, "limit": {"2"}})
		want("those before", page, true, roots[1], roots[2])
		want("the oldest", pageThreads(t, alice, url.Values{"from": {page.End}, "limit": {"2"}}), false, roots[0])
		want("all from the end", pageThreads(t, alice, url.Values{}), false, roots...)

		follow(0, http.MethodDelete)
		follow(1, http.MethodDelete)
		news, next := slideThreads(t, alice, pos, 1)
		want("what is new", news, true, "not "+roots[1])
		want("the rest of what is new", pageThreads(t, alice, url.Values{"from": {news.Prev}, "to": {pos}}), false, "not "+roots[0])
		if none, _ := slideThreads(t, alice, next, 1); len(none.roots(r)) != 0 {
			t.Errorf("told again: %v", none)
		}
		for _, wrong := range []string{"?dir=f", "", "?dir=b&limit=0", "?dir=b&from=nonsense"} {
			err := alice.Do(t.Context(), http.MethodGet, "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions"+wrong, nil, nil)
			if !is(err, http.StatusBadRequest, "M_INVALID_PARAM") {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	})
}
