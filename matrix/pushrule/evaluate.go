package pushrule

import "encoding/json"

// Context is what a condition may ask beyond the event itself. The functions
// are called only if a rule needs them.
type Context struct {
	DisplayName string                  // of the rules' owner in this room
	Members     int                     // joined to the room
	SenderLevel func() int64            // the sender's power level
	NotifyLevel func(kind string) int64 // the level in "notifications" of the power levels event, e.g. for "room"

	// Subscribed says whether the rules' owner follows the event's thread;
	// inThread is false for events of the main timeline.
	Subscribed func() (subscribed, inThread bool)

	user string // the owner of the rules
}

// Result says what the owner of the rules gets to hear of an event.
type Result struct {
	Notify    bool
	Highlight bool
	Sound     string // "" for none
	Kind      Kind   // with RuleID, the rule that matched; "" if none did
	RuleID    string
	Actions   Actions // as GET /notifications shows them; not to be changed
}

// Evaluate finds the most important rule that matches the event. Nobody is
// notified of what they sent themselves.
func (r *Rules) Evaluate(f *Fields, ctx Context) Result {
	if f.ev.Sender == r.user {
		return Result{}
	}
	ctx.user = r.user
	if res := first(r.override, f, &ctx); res != nil {
		return *res
	}
	if res := first(r.content, f, &ctx); res != nil {
		return *res
	}
	if res := first(r.postContent, f, &ctx); res != nil {
		return *res
	}
	if res, ok := r.room[f.ev.RoomID]; ok {
		return res
	}
	if res, ok := r.sender[f.ev.Sender]; ok {
		return res
	}
	if res := first(r.underride, f, &ctx); res != nil {
		return *res
	}
	return Result{}
}

func first(rules []compiled, f *Fields, ctx *Context) *Result {
	for i := range rules {
		if rules[i].matches(f, ctx) {
			return &rules[i].result
		}
	}
	return nil
}

func (c *compiled) matches(f *Fields, ctx *Context) bool {
	for _, meets := range c.conditions {
		if !meets(f, ctx) {
			return false
		}
	}
	return true
}

func resultOf(k Kind, r Rule) Result {
	res := Result{Kind: k, RuleID: r.ID, Actions: r.Actions}
	for _, a := range r.Actions {
		switch {
		case a.Notify:
			res.Notify = true
		case a.Tweak == "sound":
			res.Sound = soundName(a.Value)
		case a.Tweak == "highlight":
			// No value means true (client-server-api/#actions).
			res.Highlight = a.Value != "false"
		}
	}
	// A tweak alters a notification; without one there is nothing to alter.
	if !res.Notify {
		res.Highlight, res.Sound = false, ""
	}
	return res
}

func soundName(value string) string {
	var s string
	if json.Unmarshal([]byte(value), &s) != nil {
		return ""
	}
	return s
}
