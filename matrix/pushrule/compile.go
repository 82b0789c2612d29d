package pushrule

import (
	"slices"
	"strconv"
	"strings"

	"hearth/matrix/canonjson"
)

// Rules is a Ruleset made ready to evaluate events. It never changes, so
// many goroutines may share it, and many users if theirs are equal: see For.
type Rules struct {
	user        string
	override    []compiled
	content     []compiled
	postContent []compiled
	room        map[string]Result
	sender      map[string]Result
	underride   []compiled
}

type compiled struct {
	conditions []condition
	result     Result
}

// condition reports whether an event meets one condition of a rule.
type condition func(f *Fields, ctx *Context) bool

// Compile prepares the enabled rules of rs for the user they belong to.
func Compile(rs Ruleset, userID string) *Rules {
	return &Rules{
		user:        userID,
		override:    compileList(Override, rs.Override, userID),
		content:     compileList(Content, rs.Content, userID),
		postContent: compileList(PostContent, rs.PostContent, userID),
		room:        byID(Room, rs.Room),
		sender:      byID(Sender, rs.Sender),
		underride:   compileList(Underride, rs.Underride, userID),
	}
}

// For returns r for another user whose Stored rules are the same: what the default
// rules say of r's user they then say of that one. For("") is for anybody of whom an
// event does not speak.
func (r *Rules) For(userID string) *Rules {
	other := *r
	other.user = userID
	return &other
}

func compileList(k Kind, l List, userID string) []compiled {
	out := make([]compiled, 0, len(l))
	for _, r := range l {
		if !r.Enabled {
			continue
		}
		if cs, ok := conditions(k, r, userID); ok {
			out = append(out, compiled{cs, resultOf(k, r)})
		}
	}
	return out
}

// byID indexes rules whose id says what they match.
func byID(k Kind, l List) map[string]Result {
	out := map[string]Result{}
	for _, r := range l {
		if _, taken := out[r.ID]; r.Enabled && !taken {
			out[r.ID] = resultOf(k, r)
		}
	}
	return out
}

// conditions returns what r asks of an event; ok is false if no event can
// ever match.
func conditions(k Kind, r Rule, userID string) (cs []condition, ok bool) {
	if k == Content {
		g, ok := newGlob(r.Pattern)
		return []condition{inBody(g)}, ok && r.Pattern != ""
	}
	for _, c := range r.Conditions {
		f := aboutUser(r, c, userID)
		if f == nil {
			f = compile(c)
		}
		if f == nil {
			return nil, false
		}
		cs = append(cs, f)
	}
	return cs, true
}

// aboutUser compiles the conditions of default rules that name the user; others are
// nil. What a rule of the user's own names it names literally.
func aboutUser(r Rule, c Condition, userID string) condition {
	switch {
	case !r.Default:
		return nil
	case c.Kind == "event_match" && c.Pattern != nil && *c.Pattern == userID:
		p := canonjson.SplitPath(c.Key)
		return func(f *Fields, ctx *Context) bool {
			v, _ := f.property(p)
			s, ok := v.(string)
			return ok && ctx.user != "" && strings.EqualFold(s, ctx.user)
		}
	case c.Kind == "event_property_contains" && parseScalar(c.Value).equal(userID):
		p := canonjson.SplitPath(c.Key)
		return func(f *Fields, ctx *Context) bool {
			v, _ := f.property(p)
			list, _ := v.([]any)
			return ctx.user != "" && slices.Contains(list, any(ctx.user))
		}
	}
	return nil
}

// compile returns nil for a condition that no event meets: an unknown one, or
// one that lacks a parameter.
func compile(c Condition) condition {
	switch c.Kind {
	case "event_match":
		return eventMatch(c)
	case "event_property_is":
		return propertyIs(canonjson.SplitPath(c.Key), parseScalar(c.Value))
	case "event_property_contains":
		return propertyContains(canonjson.SplitPath(c.Key), parseScalar(c.Value))
	case "contains_display_name":
		return containsDisplayName
	case "room_member_count":
		return memberCount(c.Is)
	case "sender_notification_permission":
		return senderPermission(c.Key)
	case threadSubscription:
		return subscription(c.Subscribed)
	}
	return nil
}

func eventMatch(c Condition) condition {
	if c.Pattern == nil || c.Key == "" {
		return nil
	}
	g, ok := newGlob(*c.Pattern)
	if !ok {
		return nil
	}
	switch c.Key {
	case "content.body":
		return inBody(g)
	case "type":
		return func(f *Fields, _ *Context) bool { return g.whole(f.typ) }
	}
	p := canonjson.SplitPath(c.Key)
	return func(f *Fields, _ *Context) bool {
		v, _ := f.property(p)
		s, ok := v.(string)
		return ok && g.whole(strings.ToLower(s))
	}
}

func inBody(g glob) condition {
	return func(f *Fields, _ *Context) bool {
		s, ok := f.bodyText()
		return ok && g.words(s)
	}
}

func propertyIs(p path, want scalar) condition {
	if want.kind == compound {
		return nil
	}
	return func(f *Fields, _ *Context) bool {
		v, ok := f.property(p)
		return ok && want.equal(v)
	}
}

func propertyContains(p path, want scalar) condition {
	if want.kind == compound {
		return nil
	}
	return func(f *Fields, _ *Context) bool {
		v, _ := f.property(p)
		list, _ := v.([]any)
		for _, x := range list {
			if want.equal(x) {
				return true
			}
		}
		return false
	}
}

// containsDisplayName is deprecated since v1.17, but old clients made rules
// with it.
func containsDisplayName(f *Fields, ctx *Context) bool {
	if ctx.DisplayName == "" {
		return false
	}
	s, ok := f.bodyText()
	return ok && literal(ctx.DisplayName).words(s)
}

func memberCount(is string) condition {
	digits := strings.TrimLeft(is, "=<>")
	n, err := strconv.Atoi(digits)
	if err != nil || strings.ContainsAny(digits[:1], "+-") {
		return nil
	}
	switch is[:len(is)-len(digits)] {
	case "", "==":
		return func(_ *Fields, ctx *Context) bool { return ctx.Members == n }
	case "<":
		return func(_ *Fields, ctx *Context) bool { return ctx.Members < n }
	case ">":
		return func(_ *Fields, ctx *Context) bool { return ctx.Members > n }
	case "<=":
		return func(_ *Fields, ctx *Context) bool { return ctx.Members <= n }
	case ">=":
		return func(_ *Fields, ctx *Context) bool { return ctx.Members >= n }
	}
	return nil
}

func senderPermission(key string) condition {
	if key == "" {
		return nil
	}
	return func(_ *Fields, ctx *Context) bool {
		return ctx.SenderLevel != nil && ctx.NotifyLevel != nil && ctx.SenderLevel() >= ctx.NotifyLevel(key)
	}
}

// threadSubscription asks whether the event is in a thread that the rules' owner
// follows, or does not (MSC4306).
const threadSubscription = "io.element.msc4306.thread_subscription"

func subscription(want *bool) condition {
	if want == nil {
		return nil
	}
	return func(_ *Fields, ctx *Context) bool {
		if ctx.Subscribed == nil {
			return false
		}
		subscribed, inThread := ctx.Subscribed()
		return inThread && subscribed == *want
	}
}
