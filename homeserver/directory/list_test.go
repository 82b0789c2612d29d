package directory

import (
	"testing"

	"hearth/matrix/mxerr"
)

func TestPlainTopic(t *testing.T) {
	for _, tc := range []struct{ content, want string }{
		{`{"topic":"old"}`, "old"},
		{`{"m.topic":{"m.text":[{"body":"<b>x</b>","mimetype":"text/html"},{"body":"x"}]},"topic":"old"}`, "x"},
		{`{"m.topic":{"m.text":[{"body":"x","mimetype":"text/plain"}]},"topic":"old"}`, "x"},
		{`{"m.topic":{"m.text":[{"body":"<b>x</b>","mimetype":"text/html"}]},"topic":"old"}`, "old"},
		{`{"m.topic":{"m.text":"x"},"topic":"old"}`, "old"},
		{`{"m.topic":7,"topic":"old"}`, "old"},
	} {
		if got := plainTopic([]byte(tc.content), "old"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.content, got, tc.want)
		}
	}
}

// Pages stay where they are when the rooms at their border come and go.
func TestWindow(t *testing.T) {
	var found []*Entry
	for _, joined := range []int64{9, 7, 7, 4, 1} {
		found = append(found, &Entry{Joined: joined, nid: int64(len(found) + 1)})
	}
	for _, tc := range []struct {
		token    string
		from, to int
	}{
		{"", 0, 2},
		{"n9_1", 1, 3},
		{"n7_2", 2, 4},
		{"n7_99", 3, 5}, // the room is gone
		{"n1_5", 5, 5},
		{"n0_0", 5, 5},
		{"p9_1", 0, 0},
		{"p7_3", 0, 2},
		{"p1_5", 2, 4},
		{"p0_0", 3, 5},
		{"p99_1", 0, 0},
	} {
		c, err := parseCursor(tc.token)
		if err != nil {
			t.Fatal(err)
		}
		if from, to := c.window(found, 2); from != tc.from || to != tc.to {
			t.Errorf("%q shows %d to %d, want %d to %d", tc.token, from, to, tc.from, tc.to)
		}
	}
	for _, bad := range []string{"n", "x1_2", "n1_", "n_1", "n1_2_3", "n1", "p99999999999999999999_1"} {
		if _, err := parseCursor(bad); mxerr.From(err).Code != mxerr.InvalidParam {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
