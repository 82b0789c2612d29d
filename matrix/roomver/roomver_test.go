package roomver

import "testing"

func TestDefaultIsKnown(t *testing.T) {
	v, ok := Get(Default)
	if !ok || !v.RoomIDIsCreate || v.StateRes != StateRes21 {
		t.Errorf("Get(Default) = %+v, %v", v, ok)
	}
}

func TestVersionsFromTheFuture(t *testing.T) {
	for _, id := range []string{"", "0", "13", "01", "org.matrix.msc1", "1.0"} {
		if v, ok := Get(id); ok {
			t.Errorf("Get(%q) = %v", id, v.ID)
		}
	}
}

// The feature matrix of rooms/#feature-matrix and the changes of each page.
func TestFirstVersionOfEachDifference(t *testing.T) {
	for _, tc := range []struct {
		name        string
		has         func(*Version) bool
		first, last int
	}{
		{"state resolution 1", func(v *Version) bool { return v.StateRes == StateRes1 }, 1, 1},
		{"state resolution 2", func(v *Version) bool { return v.StateRes == StateRes2 }, 2, 11},
		{"state resolution 2.1", func(v *Version) bool { return v.StateRes == StateRes21 }, 12, 12},
		{"event ids with a server", func(v *Version) bool { return v.EventIDs == EventIDWithServer }, 1, 2},
		{"event ids in base64", func(v *Version) bool { return v.EventIDs == EventIDBase64 }, 3, 3},
		{"event ids in URL-safe base64", func(v *Version) bool { return v.EventIDs == EventIDBase64URL }, 4, 12},
		{"redactions in the auth rules", func(v *Version) bool { return v.RedactionAuth }, 1, 2},
		{"aliases in the auth rules", func(v *Version) bool { return v.AliasesAuth }, 1, 5},
		{"key validity", func(v *Version) bool { return v.KeyValidity }, 5, 12},
		{"strict JSON", func(v *Version) bool { return v.StrictJSON }, 6, 12},
		{"knock", func(v *Version) bool { return v.Knock }, 7, 12},
		{"restricted", func(v *Version) bool { return v.Restricted }, 8, 12},
		{"knock_restricted", func(v *Version) bool { return v.KnockRestricted }, 10, 12},
		{"integer levels", func(v *Version) bool { return v.IntegerLevels }, 10, 12},
		{"redacts in content", func(v *Version) bool { return v.RedactsInContent }, 11, 12},
		{"creators above all", func(v *Version) bool { return v.PrivilegedCreators }, 12, 12},
	} {
		for i, v := range All() {
			n := i + 1
			if want := tc.first <= n && n <= tc.last; tc.has(v) != want {
				t.Errorf("version %s: %s = %v, want %v", v.ID, tc.name, !want, want)
			}
		}
	}
}
