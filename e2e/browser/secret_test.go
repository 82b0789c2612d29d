package browser

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/api/spectest"
	"hearth/e2e"
)

// secret is what secret.mjs reports in its steps.
type secret struct {
	OnServer      []json.RawMessage // messages as the server has them
	Emoji         []string          // on both screens
	Before, After []bool            // whether alice trusts bob, and he her
	Reads         []*string         // nil for what could not be decrypted
	Outcome       string
	Imported      int
}

// What alice and bob said that nobody else may read.
var whispered = []string{"The key is under the stone.", "I put it back there.", "My tablet reads this too."}

// missed is what bob said while alice had no device but the dehydrated one.
const missed = "You were away."

func (s *secret) reads(text string) bool {
	return slices.ContainsFunc(s.Reads, func(got *string) bool { return got != nil && *got == text })
}

func TestSecretsInBrowsers(t *testing.T) {
	paths := programs(t)
	e2e.OnBoth(t, func(t *testing.T, h *e2e.Hearth) {
		judgeSecrets(t, tell(t, paths, "secret.mjs", spectest.Proxy(t, h.URL), "secret-"+filepath.Base(t.Name())+".png"))
	})
}

func judgeSecrets(t *testing.T, steps []step) {
	var told []string
	for _, s := range steps {
		told = append(told, s.Step)
		switch s.Step {
		case "whisper":
			if len(s.OnServer) != 2 {
				t.Errorf("the server has %d messages, want 2", len(s.OnServer))
			}
			for _, ev := range s.OnServer {
				if !bytes.Contains(ev, []byte("m.megolm.v1.aes-sha2")) || bytes.Contains(ev, []byte("stone")) || bytes.Contains(ev, []byte("back there")) {
					t.Errorf("the server could read %s", ev)
				}
			}
		case "emoji":
			sameEmoji(t, s.Emoji)
			if slices.Contains(s.Before, true) || slices.Contains(s.After, false) || len(s.After) != 2 {
				t.Errorf("trust before comparing %v, and after %v", s.Before, s.After)
			}
		case "own emoji":
			sameEmoji(t, s.Emoji)
		case "without the key":
			readsNothing(t, s)
		case "wrong key":
			readsNothing(t, s)
			if !strings.HasPrefix(s.Outcome, "refused") {
				t.Errorf("with a wrong recovery key: %s", s.Outcome)
			}
		case "recovered":
			for _, text := range whispered {
				if !s.reads(text) {
					t.Errorf("the laptop with the recovery key cannot read %q", text)
				}
			}
			if s.reads(missed) {
				t.Errorf("%q came from the backup, where nobody put its key", missed)
			}
			if s.Imported < 2 {
				t.Errorf("%d keys came from the backup", s.Imported)
			}
		case "awake":
			if !s.reads(missed) || s.Imported < 1 {
				t.Errorf("the dehydrated device collected %d keys, and %q is among what the laptop reads: %v", s.Imported, missed, s.reads(missed))
			}
		}
	}
	if want := []string{"whisper", "emoji", "own emoji", "without the key", "wrong key", "recovered", "awake"}; !slices.Equal(told, want) {
		t.Errorf("the story is incomplete: %q", told)
	}
}

func sameEmoji(t *testing.T, emoji []string) {
	t.Helper()
	if len(emoji) != 2 || emoji[0] != emoji[1] || len(strings.Fields(emoji[0])) != 7 {
		t.Errorf("the screens show %q", emoji)
	}
}

// readsNothing is the control: whoever has no key reads nothing of it.
func readsNothing(t *testing.T, s step) {
	t.Helper()
	if len(s.Reads) < len(whispered)+1 {
		t.Errorf("%s: only %d messages were tried", s.Step, len(s.Reads))
	}
	for _, text := range s.Reads {
		if text != nil {
			t.Errorf("%s: the laptop reads %q", s.Step, *text)
		}
	}
}
