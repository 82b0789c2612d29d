package feed

import (
	"encoding/json"
	"strings"

	"hearth/matrix/mxerr"
)

// SlideRequest is a request of simplified sliding sync, in the shape of MSC4186
// and in that of its unstable endpoint, where the two differ.
type SlideRequest struct {
	User   string `json:"-"`
	Device string `json:"-"`

	ConnID      string `json:"conn_id"`
	TxnID       string `json:"txn_id"`
	Pos         string `json:"pos"`     // "" for a new connection
	Timeout     int64  `json:"timeout"` // milliseconds
	SetPresence string `json:"set_presence"`

	Lists      map[string]SlideList   `json:"lists"`
	Rooms      map[string]SlideConfig `json:"room_subscriptions"`
	Extensions SlideExtensions        `json:"extensions"`
}

// SlideConfig says what to tell of a room.
type SlideConfig struct {
	TimelineLimit *int64          `json:"timeline_limit"`
	RequiredState json.RawMessage `json:"required_state"`
}

// SlideList is a list of rooms by activity, and which part of it to tell.
type SlideList struct {
	SlideConfig
	Range   []int64      `json:"range"`
	Ranges  [][]int64    `json:"ranges"`
	Filters *SlideFilter `json:"filters"`
}

// SlideFilter is which of the user's rooms are in a list. Nil fields let every
// room pass.
type SlideFilter struct {
	IsDM         *bool     `json:"is_dm"`
	Spaces       []string  `json:"spaces"`
	IsEncrypted  *bool     `json:"is_encrypted"`
	IsInvite     *bool     `json:"is_invite"`
	IsInvited    *bool     `json:"is_invited"`
	RoomTypes    []*string `json:"room_types"` // nil elements stand for rooms without a type
	NotRoomTypes []*string `json:"not_room_types"`
	Tags         []string  `json:"tags"`
	NotTags      []string  `json:"not_tags"`
	RoomNameLike string    `json:"room_name_like"`
}

// SlideExtensions says what to tell besides rooms.
type SlideExtensions struct {
	ToDevice    SlideToDevice  `json:"to_device"`
	E2EE        SlideExtension `json:"e2ee"`
	AccountData SlideExtension `json:"account_data"`
	Receipts    SlideExtension `json:"receipts"`
	Typing      SlideExtension `json:"typing"`
	Threads     SlideThreads   `json:"io.element.msc4308.thread_subscriptions"`
	Sticky      SlideSticky    `json:"org.matrix.msc4354.sticky_events"`
}

// SlideExtension turns an extension on, for the rooms of some lists and some
// subscriptions; nil and "*" stand for all.
type SlideExtension struct {
	Enabled bool     `json:"enabled"`
	Lists   []string `json:"lists"`
	Rooms   []string `json:"rooms"`
}

// SlideToDevice turns on messages to the device (MSC3885).
type SlideToDevice struct {
	Enabled bool   `json:"enabled"`
	Since   string `json:"since"`
	Limit   int    `json:"limit"`
}

// Bounds of a request; those of lists and subscriptions are the MSC's.
const (
	maxSlideLists    = 100
	maxSlideSubs     = 100
	maxSlideRanges   = 16
	maxSlideTimeline = 100
	maxSlideState    = 200 // entries of one required_state
	maxSlideName     = 255 // bytes of conn_id and the like
	maxSlideFilter   = 1000
)

// slideAsk is a request in the form in which it is worked on.
type slideAsk struct {
	lists []listRule
	subs  []subRule
	rules map[ruleKey]*slideRule // of rooms that match the same
}

type listRule struct {
	name   string
	config *stateConfig
	limit  int
	all    bool // no range: the whole list
	ranges [][2]int
	filter *SlideFilter
}

type subRule struct {
	room   string
	config *stateConfig
	limit  int
}

// ruleKey names a set of rules: the lists, and the subscription or -1.
type ruleKey struct {
	lists [2]uint64
	sub   int
}

// slideRule is what several rules say together.
type slideRule struct {
	config *roomConfig
	limit  int
	lists  []string
}

func (req *SlideRequest) compile() (*slideAsk, error) {
	switch {
	case len(req.ConnID) > maxSlideName || len(req.TxnID) > maxSlideName:
		return nil, mxerr.New(mxerr.InvalidParam, "conn_id and txn_id have at most %d bytes", maxSlideName)
	case len(req.Lists) > maxSlideLists:
		return nil, mxerr.New(mxerr.InvalidParam, "A request has at most %d lists", maxSlideLists)
	case len(req.Rooms) > maxSlideSubs:
		return nil, mxerr.New(mxerr.InvalidParam, "A request has at most %d room subscriptions", maxSlideSubs)
	case req.Timeout < 0:
		return nil, mxerr.New(mxerr.InvalidParam, "timeout must not be negative")
	}
	ask := &slideAsk{rules: map[ruleKey]*slideRule{}}
	for _, name := range sortedKeys(req.Lists) {
		l := req.Lists[name]
		rule, err := l.compile(name, req.User)
		if err != nil {
			return nil, err
		}
		ask.lists = append(ask.lists, rule)
	}
	for _, id := range sortedKeys(req.Rooms) {
		if !strings.HasPrefix(id, "!") || len(id) > maxSlideName {
			return nil, mxerr.New(mxerr.InvalidParam, "%q is not a room id", id)
		}
		c := req.Rooms[id]
		config, limit, err := c.compile("room_subscriptions", id, req.User)
		if err != nil {
			return nil, err
		}
		ask.subs = append(ask.subs, subRule{id, config, limit})
	}
	return ask, nil
}

func (l *SlideList) compile(name, user string) (rule listRule, err error) {
	if !isOpaque(name) {
		return rule, mxerr.New(mxerr.InvalidParam, "%q is not the name of a list: they have up to %d letters, digits and the characters . _ ~ -", name, maxSlideName)
	}
	rule = listRule{name: name, filter: l.Filters}
	if rule.config, rule.limit, err = l.SlideConfig.compile("lists", name, user); err != nil {
		return rule, err
	}
	ranges := l.Ranges
	if l.Range != nil {
		ranges = append(ranges, l.Range)
	}
	if len(ranges) > maxSlideRanges {
		return rule, mxerr.New(mxerr.InvalidParam, "A list has at most %d ranges", maxSlideRanges)
	}
	rule.all = l.Range == nil && l.Ranges == nil
	for _, r := range ranges {
		if len(r) != 2 || r[0] < 0 || r[0] > r[1] {
			return rule, mxerr.New(mxerr.InvalidParam, "A range of the list %q is not a pair of a first and a last index", name)
		}
		const far = 1 << 30
		rule.ranges = append(rule.ranges, [2]int{int(min(r[0], far)), int(min(r[1], far))})
	}
	if f := l.Filters; f != nil && len(f.Spaces)+len(f.RoomTypes)+len(f.NotRoomTypes)+len(f.Tags)+len(f.NotTags) > maxSlideFilter {
		return rule, mxerr.New(mxerr.InvalidParam, "A filter has at most %d entries", maxSlideFilter)
	}
	return rule, nil
}

// covers reports whether one of the ranges has an index.
func (l *listRule) covers(i int) bool {
	if l.all {
		return true
	}
	for _, r := range l.ranges {
		if r[0] <= i && i <= r[1] {
			return true
		}
	}
	return false
}

// isOpaque: appendices/#opaque-identifiers
func isOpaque(s string) bool {
	for _, c := range []byte(s) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._~-", c) >= 0
		if !ok {
			return false
		}
	}
	return s != "" && len(s) <= maxSlideName
}

func (c *SlideConfig) compile(where, name, user string) (*stateConfig, int, error) {
	if c.TimelineLimit == nil {
		return nil, 0, mxerr.New(mxerr.MissingParam, "timeline_limit is missing in %s.%s", where, name)
	}
	if *c.TimelineLimit < 0 {
		return nil, 0, mxerr.New(mxerr.InvalidParam, "timeline_limit is negative in %s.%s", where, name)
	}
	config, err := parseRequired(c.RequiredState, user)
	if err != nil {
		return nil, 0, mxerr.New(mxerr.From(err).Code, "required_state in %s.%s: %s", where, name, mxerr.From(err).Text)
	}
	return config, int(min(*c.TimelineLimit, maxSlideTimeline)), nil
}

// ruleOf is what the rules that a room matches say together.
func (a *slideAsk) ruleOf(m *match) *slideRule {
	if r := a.rules[m.ruleKey]; r != nil {
		return r
	}
	var parts []*stateConfig
	r := &slideRule{}
	for i, l := range a.lists {
		if m.lists[i/64]>>(i%64)&1 == 1 {
			parts = append(parts, l.config)
			r.limit = max(r.limit, l.limit)
			r.lists = append(r.lists, l.name)
		}
	}
	if m.sub >= 0 {
		parts = append(parts, a.subs[m.sub].config)
		r.limit = max(r.limit, a.subs[m.sub].limit)
	}
	r.config = combine(parts)
	a.rules[m.ruleKey] = r
	return r
}
