package account

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hearth/matrix/mxerr"
)

// A profile has at most 64 KiB, and its names 255 bytes each
// (client-server-api/#profiles). What is replaced makes room.
func TestProfilesAreBounded(t *testing.T) {
	each(t, nil, func(t *testing.T, e *Engine, _ *clock) {
		alice := must(e.Register(t.Context(), Registration{Username: "alice", Password: "wonderland"}, dummy, "")).User
		set := func(field string, bytes int) error {
			return e.SetProfileField(t.Context(), alice, field, json.RawMessage(`"`+strings.Repeat("x", bytes-2)+`"`))
		}
		for _, step := range []struct {
			field string
			bytes int
			want  mxerr.Code
		}{
			{"n." + strings.Repeat("n", maxFieldName-2), 10, ""},
			{"n." + strings.Repeat("n", maxFieldName-1), 10, mxerr.KeyTooLarge},
			{"org.example.pet", maxProfile - 1000, ""},
			{"org.example.tree", 1000, mxerr.ProfileTooLarge},
			{"org.example.pet", maxProfile - 2000, ""},
			{"org.example.tree", 1000, ""},
			{"org.example.pet", maxProfile, mxerr.ProfileTooLarge},
		} {
			err := set(step.field, step.bytes)
			if refusal := (*mxerr.Error)(nil); step.want == "" && err != nil || step.want != "" && (!errors.As(err, &refusal) || refusal.Code != step.want) {
				t.Errorf("%.20s of %d bytes: %v, want %s", step.field, step.bytes, err, step.want)
			}
		}
	})
}
