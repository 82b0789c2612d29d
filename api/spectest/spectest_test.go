package spectest

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		what, method, path string
		status             int
		body               string
		want               string // in the error; "" for none
	}{
		{"as it should be", "GET", "/_matrix/client/v3/account/whoami", 200, `{"user_id":"@a:b","is_guest":false}`, ""},
		{"by its old name", "GET", "/_matrix/client/r0/account/whoami", 200, `{}`, "user_id"},
		{"a wrong type", "GET", "/_matrix/client/v3/account/whoami", 200, `{"user_id":"@a:b","is_guest":1}`, "is_guest"},
		{
			"a nested event without a sender", "GET", "/_matrix/client/v3/rooms/%21r/messages", 200,
			`{"start":"t1","chunk":[{"type":"m.room.message","event_id":"$e","room_id":"!r","origin_server_ts":1,"content":{}}]}`, "sender",
		},
		{"an error", "GET", "/_matrix/client/v3/account/whoami", 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"Who?"}`, ""},
		{"an error without a code", "GET", "/_matrix/client/v3/account/whoami", 401, `{"error":"Who?"}`, "errcode"},
		{"an error in HTML", "PUT", "/_matrix/client/v3/rooms/%21r/typing/@a:b", 500, `<h1>Oh</h1>`, "errcode"},
		{"no such operation", "GET", "/_matrix/client/v3/nothing", 200, `[]`, ""},
		{"a known difference", "GET", "/_matrix/client/v3/rooms/%21r/joined_members", 200, `{"joined":{"@a:b":{"avatar_url":null}}}`, ""},
	} {
		err := Check(tc.method, tc.path, tc.status, []byte(tc.body))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.what, err, tc.want)
		}
	}
}

// TestEverySchemaCompiles: a schema that is none would let everything pass.
func TestEverySchemaCompiles(t *testing.T) {
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, op := range s.operations {
		for status := range op.Responses {
			schema, err := s.schema(op, status)
			if err != nil {
				t.Errorf("%s %s: %v", op.ID, status, err)
			}
			if schema != nil {
				n++
			}
		}
	}
	if len(s.operations) != 166+36 || n < 300 {
		t.Errorf("%d operations with %d schemas", len(s.operations), n)
	}
}
