package appservice

import "testing"

// TestWhoDoesNotKnowAPath: a bridge that has no such user is not one of old, however
// it writes its JSON; those in Python put spaces into it.
func TestWhoDoesNotKnowAPath(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   bool
	}{
		{404, `{"errcode":"M_NOT_FOUND"}`, false},
		{404, "{\n  \"errcode\": \"M_NOT_FOUND\", \"error\": \"no\"}", false},
		{404, `{"errcode": "M_UNRECOGNIZED"}`, true},
		{404, `{"error": "what?"}`, true},
		{404, `<html>404`, true},
		{405, `{}`, true},
		{500, `{}`, false},
	} {
		if got := unknown(&statusError{tc.status, []byte(tc.body)}); got != tc.want {
			t.Errorf("%d %s: %v", tc.status, tc.body, got)
		}
	}
}
