package authrules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	gmsl "github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"

	"hearth/matrix/pdu"
)

// TestAgainstOracle asks gomatrixserverlib about random events in random rooms.
// Where it disagrees, oracleIsWrong must know why.
func TestAgainstOracle(t *testing.T) { compare(t, 1, 1, askOracle, oracleIsWrong) }

// compare asks an oracle about random events in random rooms of the versions from
// first on. Where it disagrees, excuse must know why.
func compare(t *testing.T, seed uint64, first int, ask func(*testing.T, *world, *pdu.Event) error, excuse func(*world, *pdu.Event, error) string) {
	const cases = 800 // per version
	for n := first; n <= 12; n++ {
		t.Run(fmt.Sprintf("version %d", n), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			allowed, rejected, differs := 0, 0, map[string]int{}
			for range cases {
				w := randomWorld(t, r, n)
				ev := randomEvent(w, r)
				ours, theirs := w.check(ev), ask(t, w, ev)
				if (ours == nil) != (theirs == nil) {
					why := excuse(w, ev, ours)
					if why == "" {
						t.Errorf("ours: %v\noracle: %v\nevent: %s\nstate:\n%s", ours, theirs, ev.JSON, w)
						return
					}
					differs[why]++
					continue
				}
				if ours == nil {
					allowed++
				} else {
					rejected++
				}
			}
			t.Logf("%d allowed, %d rejected by both; known differences: %v", allowed, rejected, differs)
			if allowed < cases/20 || rejected < cases/20 {
				t.Errorf("%d allowed, %d rejected: the test does not try both", allowed, rejected)
			}
		})
	}
}

// oracleIsWrong says where gomatrixserverlib is known not to follow the spec, or
// "" if this is no such case.
func oracleIsWrong(w *world, ev *pdu.Event, ours error) string {
	n := versionNumber(w)
	current, rule := "leave", ""
	if ev.Type == typeMember {
		if m := w.st(typeMember, *ev.StateKey); m != nil {
			current = m.Membership()
		}
	}
	if jr := w.st(typeJoinRules, ""); jr != nil {
		rule, _ = jr.GetString("join_rule")
	}
	lv := ParsePowerLevels(w.v, w.st(typeLevels, ""), w.create())
	switch {
	case ours == ErrLeaveNotIn && current == "leave":
		return "leaving twice is let through (its comment says: not the spec)"
	case ours == ErrJoinRule && (current == "join" || current == "invite"):
		return "members and invited users join under any join rule"
	case ours == ErrJoinRule && rule == "knock_restricted" && n >= 8 && n <= 9:
		return "knock_restricted lets in before version 10"
	case ours == ErrKnockRule && rule == "knock_restricted" && n >= 7 && n <= 9:
		return "knock_restricted lets knock before version 10"
	case ours == nil && current == "knock" && rule == "public":
		return "who knocked cannot join a room that became public"
	case ours == ErrKickLevel && current == "ban":
		return "unbanning needs neither the kick level nor a lower target"
	case ev.Type == typeAliases && n >= 6:
		return "aliases keep their own rule from version 6 on"
	case ev.Type == typeLevels && ours == ErrLevelsChange && raises(w, ev, fieldUsersDefault):
		return "changes of users_default are not checked"
	case ev.Type == typeLevels && ours == nil && touchesNotificationAt(w, ev, lv.User(ev.Sender)):
		return "a notification level equal to the sender's cannot be changed"
	case ev.Type == typeLevels && ours == nil && n == 12 && lv.User(ev.Sender) == CreatorLevel && w.st(typeLevels, "") != nil &&
		string(section(w.st(typeLevels, ""), "notifications")) != string(section(ev, "notifications")):
		return "a creator's own level does not count for notifications"
	}
	return ""
}

func section(ev *pdu.Event, key string) []byte {
	raw, _ := ev.Get(key)
	return raw
}

// raises reports whether ev changes a field so that rule 10.6 rejects it.
func raises(w *world, ev *pdu.Event, field int) bool {
	old := levelsOf(w.st(typeLevels, ""))
	next := levelsOf(ev)
	lv := ParsePowerLevels(w.v, w.st(typeLevels, ""), w.create())
	power := lv.User(ev.Sender)
	a, b := old.field(field, 0), next.field(field, 0)
	return a != b && (a > power || b > power)
}

func touchesNotificationAt(w *world, ev *pdu.Event, power int64) bool {
	if w.st(typeLevels, "") == nil {
		return false
	}
	old, next := levelsOf(w.st(typeLevels, "")).notifications, levelsOf(ev).notifications
	return old["room"] != next["room"] && old["room"] == power
}

func versionNumber(w *world) int {
	n := 0
	_, _ = fmt.Sscan(w.v.ID, &n)
	return n
}

func (w *world) String() string {
	var b strings.Builder
	for _, ev := range w.state {
		fmt.Fprintf(&b, "%s %q %s %s\n", ev.Type, *ev.StateKey, ev.Sender, ev.Content)
	}
	return b.String()
}

func askOracle(t *testing.T, w *world, ev *pdu.Event) error {
	t.Helper()
	impl, err := gmsl.GetRoomVersion(gmsl.RoomVersion(w.v.ID))
	if err != nil {
		t.Fatal(err)
	}
	convert := func(e *pdu.Event) gmsl.PDU {
		p, err := impl.NewEventFromTrustedJSONWithEventID(e.ID, e.JSON, false)
		if err != nil {
			t.Fatalf("%s: %v", e.JSON, err)
		}
		return p
	}
	var state []gmsl.PDU
	for _, e := range w.state {
		state = append(state, convert(e))
	}
	auth, err := gmsl.NewAuthEvents(state)
	if err != nil {
		t.Fatal(err)
	}
	return gmsl.Allowed(convert(ev), auth, func(_ spec.RoomID, id spec.SenderID) (*spec.UserID, error) {
		return spec.NewUserID(string(id), true)
	})
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var everybody = []string{alice, mod, bob, carol, dave}

// randomWorld is a room whose state may be anything that the rules let in.
func randomWorld(t *testing.T, r *rand.Rand, n int) *world {
	w := newWorld(t, n)
	if r.IntN(10) == 0 {
		w.set("m.room.create", "", fmt.Sprintf(`{"creator":%q,"room_version":%q,"m.federate":false}`, alice, w.v.ID))
	} else if n == 12 && r.IntN(3) == 0 {
		w.set("m.room.create", "", fmt.Sprintf(`{"room_version":"12","additional_creators":[%q]}`, carol))
	}
	w.room = w.create().RoomID
	w.state = map[Tuple]*pdu.Event{{"m.room.create", ""}: w.create()}
	memberships := []string{"join", "join", "join", "leave", "invite", "ban"}
	if n >= 7 {
		memberships = append(memberships, "knock")
	}
	for _, user := range everybody {
		if r.IntN(6) > 0 {
			w.member(user, pick(r, memberships...))
		}
	}
	if r.IntN(10) > 0 {
		w.joinRule(pick(r, "invite", "public", "knock", "restricted", "knock_restricted", "private"))
	}
	if r.IntN(10) > 0 {
		w.levels(randomLevels(w, r))
	}
	return w
}

// randomLevels are complete power levels. The oracle takes absent values for
// their defaults when it compares (its comment says that this is not what Synapse
// does), so only the values differ; rules for absent ones have tables.
func randomLevels(w *world, r *rand.Rand) string {
	val := func() int { return pick(r, 0, 25, 50, 50, 75, 100) }
	few := func() int { return pick(r, 0, 0, 0, 25, 50) }
	var users []string
	for _, u := range everybody {
		if w.v.PrivilegedCreators && (u == alice || u == carol) && r.IntN(20) > 0 {
			continue
		}
		users = append(users, fmt.Sprintf("%q:%d", u, val()))
	}
	return fmt.Sprintf(`{"ban":%d,"kick":%d,"redact":%d,"invite":%d,"state_default":%d,"events_default":%d,"users_default":%d,`+
		`"events":{"x":%d,"m.room.power_levels":%d},"notifications":{"room":%d},"users":{%s}}`,
		val(), val(), val(), few(), val(), few(), few(), val(), few(), val(), strings.Join(users, ","))
}

// mutate changes one number of power levels, so that some changes are allowed.
func mutate(r *rand.Rand, content string) string {
	var at []int
	for i := 1; i < len(content); i++ {
		if content[i-1] == ':' && content[i] >= '0' && content[i] <= '9' {
			at = append(at, i)
		}
	}
	for range 1 + r.IntN(2) {
		i := at[r.IntN(len(at))]
		end := i
		for content[end] >= '0' && content[end] <= '9' {
			end++
		}
		// Same length, so that the other places stay right.
		content = content[:i] + fmt.Sprint(pick(r, 10, 25, 50, 75) * (end - i) / 2 % 100)[:1] + strings.Repeat("0", end-i-1) + content[end:]
	}
	return content
}

func randomEvent(w *world, r *rand.Rand) *pdu.Event {
	sender, target := pick(r, everybody...), pick(r, everybody...)
	switch r.IntN(8) {
	case 0:
		return w.message(sender, pick(r, "m.room.message", "x"))
	case 1:
		return w.stateEvent(sender, pick(r, "m.room.topic", "x"), pick(r, "", "", sender, target), `{}`)
	case 2:
		return w.message(sender, "m.room.redaction", "redacts", `"$x:`+pick(r, "a.example", "b.example", "c.example")+`"`)
	case 3:
		old := w.st(typeLevels, "")
		if old == nil || r.IntN(5) == 0 {
			return w.stateEvent(sender, typeLevels, "", randomLevels(w, r))
		}
		return w.stateEvent(sender, typeLevels, "", mutate(r, string(old.Content)))
	case 4:
		if r.IntN(2) == 0 {
			return w.stateEvent(sender, typeAliases, pick(r, "a.example", "b.example"), `{}`)
		}
		return w.stateEvent(sender, typeThirdParty, "token", `{}`)
	case 5:
		via := pick(r, everybody...)
		_, server, _ := strings.Cut(via, ":")
		return w.event(typeMember, sender, &sender, fmt.Sprintf(`{"membership":"join","join_authorised_via_users_server":%q}`, via),
			"signatures", fmt.Sprintf(`{%q:{"ed25519:1":"abc"}}`, server))
	default:
		if r.IntN(2) == 0 {
			target = sender
		}
		return w.membership(sender, target, pick(r, "join", "leave", "invite", "ban", "knock", "sit"))
	}
}
