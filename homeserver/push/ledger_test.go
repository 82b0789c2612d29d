package push_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"hearth/homeserver/receipt"
	"hearth/homeserver/room"
	"hearth/matrix/pushrule"
)

// crowd makes the room one of twelve members and returns those who came.
func (h *house) crowd() (users []string) {
	h.Helper()
	for i := range 9 {
		users = append(users, fmt.Sprintf("@user%d:test", i))
		h.join(users[i])
	}
	return users
}

// TestTogetherIsTheSameAsAlone: what members with equal rules are counted for
// together is what each of them is counted for alone. Who ignores somebody is
// counted for alone.
func TestTogetherIsTheSameAsAlone(t *testing.T) {
	each(t, func(h *house) {
		users := append(h.crowd(), bob)
		quiet := pushrule.Actions{}
		loud := pushrule.Actions{{Notify: true}, {Tweak: "highlight"}}
		for i, d := range []pushrule.Draft{{Actions: &quiet}, {Actions: &quiet}, {Actions: &loud, Pattern: "tea"}, {Actions: &loud, Pattern: "tea"}} {
			h.must(h.push.ChangeRules(h.Context(), users[i], func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
				if d.Pattern != "" {
					return rs.Put(pushrule.Content, "tea", d, pushrule.Place{})
				}
				return rs.Put(pushrule.Room, h.room.ID, d, pushrule.Place{})
			}))
		}
		dice := rand.New(rand.NewPCG(1, 2))
		root := h.say(alice, "root")
		ids, inside := []string{root}, []string{h.inThread(alice, root)}
		for i := range 400 {
			some := users[dice.IntN(len(users))]
			switch n := dice.IntN(40); {
			case n == 0:
				inside = append(inside, h.inThread(carol, root))
			case n == 1:
				h.read(some, receipt.Private, root, inside[dice.IntN(len(inside))])
			case n == 2:
				h.join(some) // changes their profile
			case n == 3:
				h.must(h.rooms.Leave(h.Context(), some, h.room.ID, ""))
				h.join(some)
			case n == 4:
				ids = append(ids, h.say(some, "one of them speaks"))
			case n == 5:
				h.send(alice, "m.reaction", fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":%q,"key":"%d"}}`, ids[len(ids)-1], i))
			case n < 9:
				ids = append(ids, h.send(alice, "m.room.message", fmt.Sprintf(`{"body":"you","m.mentions":{"user_ids":[%q]}}`, some)))
			case n < 11:
				ids = append(ids, h.send(alice, "m.room.message", `{"body":"all","m.mentions":{"room":true}}`))
			case n < 14:
				h.read(some, receipt.Read, []string{"", receipt.Main}[n%2], ids[max(0, len(ids)-1-dice.IntN(30))])
			case n < 24:
				_, err := h.push.Counts(h.Context(), h.room, some, h.hub.Pos())
				h.must(err)
			default:
				ids = append(ids, h.say([]string{alice, carol}[i%2], []string{"tea?", "hello"}[n%2]))
			}
		}
		together := map[string]string{}
		count := func(user string) string {
			c, err := h.push.Counts(h.Context(), h.room, user, h.hub.Pos())
			h.must(err)
			return fmt.Sprint(c)
		}
		for _, u := range users {
			together[u] = count(u)
			h.must(h.data.Put(h.Context(), u, 0, "m.ignored_user_list", json.RawMessage(`{"ignored_users":{"@nobody:test":{}}}`)))
		}
		h.start()
		for _, u := range users {
			if alone := count(u); alone != together[u] {
				h.Errorf("%s has %s unread, counted alone %s", u, together[u], alone)
			}
		}
	})
}

// TestRedactedEventsDoNotCountForOthers: who comes after a redaction does not count
// what others have counted.
func TestRedactedEventsDoNotCountForOthers(t *testing.T) {
	each(t, func(h *house) {
		users := h.crowd()
		id := h.say(alice, "oops")
		h.say(alice, "well")
		h.countsOf(users[0], "2/0")
		_, err := h.rooms.Send(h.Context(), h.room.ID, room.Draft{Sender: alice, Type: "m.room.redaction", Redacts: id, Content: json.RawMessage(`{}`)})
		h.must(err)
		h.countsOf(users[1], "1/0")
		h.countsOf(users[0], "1/0")
	})
}
