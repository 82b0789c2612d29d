package clientapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/personal"
	"hearth/homeserver/room"
	"hearth/homeserver/search"
	"hearth/matrix/mxerr"
)

func (a *Rooms) searchRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /search",
		Auth:    httpx.User,
		Limit:   "search",
		Handler: httpx.JSON(a.search),
		Spec:    "search",
	}}
}

type searchReq struct {
	Categories *struct {
		RoomEvents *searchCriteria `json:"room_events"`
	} `json:"search_categories"`
}

// searchCriteria says what to search for in rooms.
type searchCriteria struct {
	Term         string          `json:"search_term"`
	Keys         []string        `json:"keys"`
	Filter       json.RawMessage `json:"filter"`
	OrderBy      string          `json:"order_by"`
	IncludeState bool            `json:"include_state"`
	Context      *struct {
		Before  *int `json:"before_limit"`
		After   *int `json:"after_limit"`
		Profile bool `json:"include_profile"`
	} `json:"event_context"`
	Groupings struct {
		GroupBy []struct {
			Key string `json:"key"`
		} `json:"group_by"`
	} `json:"groupings"`
}

// Bounds of a search.
const (
	maxSearchPage    = 100
	maxSearchContext = 50
	defaultContext   = 5
)

var searchKinds = map[string]int64{
	"content.body": store.SearchBody, "content.name": store.SearchName, "content.topic": store.SearchTopic,
}

// search: client-server-api/#post_matrixclientv3search
func (a *Rooms) search(ctx context.Context, r *http.Request, req searchReq) (httpx.Raw, error) {
	if req.Categories == nil {
		return nil, mxerr.New(mxerr.MissingParam, "search_categories is missing")
	}
	c := req.Categories.RoomEvents
	if c == nil {
		return httpx.Raw(`{"search_categories":{}}`), nil
	}
	s, err := a.newSearch(ctx, c, r.URL.Query().Get("next_batch"))
	if err != nil {
		return nil, err
	}
	if err := s.find(ctx); err != nil {
		return nil, err
	}
	return s.answer(ctx)
}

// searching is one search on its way.
type searching struct {
	*searchCriteria
	a       *Rooms
	filter  *personal.EventFilter
	limit   int
	words   []string
	kinds   []int64
	members map[int64]store.Member
	ignored map[string]bool
	token   searchToken
	sights  map[int64]*room.Sight // nil for rooms that are not searched

	found []searchResult // all that the user may see of this window, in order
	more  bool           // there are others behind the window
	last  int64          // the oldest event of the window
}

type searchResult struct {
	*room.Event
	sight *room.Sight
	rank  float64
}

// searchToken is where a page starts: Off results behind the start of a window
// that begins at the event Upto, with Base results in windows before it.
type searchToken struct {
	Upto  int64  `json:"u"`
	Base  int    `json:"b,omitempty"`
	Off   int    `json:"o,omitempty"`
	Key   string `json:"k,omitempty"` // of a group
	Value string `json:"v,omitempty"`
}

func (t searchToken) String() string {
	raw, _ := json.Marshal(t) // numbers and strings always marshal
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseSearchToken(s string) (t searchToken, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil || t.Upto < 0 || t.Off < 0 || t.Base < 0 {
		return t, mxerr.New(mxerr.InvalidParam, "%q is not a token of a search", s)
	}
	return t, nil
}

func (a *Rooms) newSearch(ctx context.Context, c *searchCriteria, next string) (*searching, error) {
	s := &searching{searchCriteria: c, a: a, sights: map[int64]*room.Sight{}, members: map[int64]store.Member{}}
	if err := s.parse(); err != nil {
		return nil, err
	}
	user := httpx.Who(ctx).User
	members, err := a.Engine.RoomsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if !m.Forgotten && (m.Membership == store.Join || m.Membership == store.Leave || m.Membership == store.Ban) {
			s.members[m.Room] = m
		}
	}
	if s.ignored, err = a.ignored(ctx); err != nil {
		return nil, err
	}
	s.token = searchToken{Upto: a.Hub.Pos()}
	if next != "" {
		if s.token, err = parseSearchToken(next); err != nil {
			return nil, err
		}
	}
	return s, a.Search.CatchUp(ctx)
}

func (s *searching) parse() (err error) {
	if s.words = search.Words(s.Term, search.MaxWords); s.Term == "" {
		return mxerr.New(mxerr.MissingParam, "search_term is missing")
	}
	if s.OrderBy != "" && s.OrderBy != "rank" && s.OrderBy != "recent" {
		return mxerr.New(mxerr.InvalidParam, "order_by must be rank or recent")
	}
	for _, g := range s.Groupings.GroupBy {
		if g.Key != "room_id" && g.Key != "sender" {
			return mxerr.New(mxerr.InvalidParam, "Results cannot be grouped by %q", g.Key)
		}
	}
	if len(s.Keys) == 0 {
		s.kinds = []int64{store.SearchBody, store.SearchName, store.SearchTopic}
	}
	for _, key := range s.Keys {
		kind := searchKinds[key]
		if kind == 0 {
			return mxerr.New(mxerr.InvalidParam, "There is nothing to search under %q", key)
		}
		if !slices.Contains(s.kinds, kind) {
			s.kinds = append(s.kinds, kind)
		}
	}
	if s.filter, err = eventFilter(string(s.Filter)); err != nil {
		return err
	}
	s.limit = max(s.filter.LimitOr(defaultPage, maxSearchPage), 1)
	return nil
}

// find fills in what the search finds. The events are loaded and looked at
// before they are counted: a count must not tell of what is hidden.
func (s *searching) find(ctx context.Context) error {
	rooms, err := s.rooms(ctx)
	if err != nil {
		return err
	}
	hits, more, err := s.a.Search.Find(ctx, search.Query{Words: s.words, Kinds: s.kinds, Rooms: rooms, Upto: s.token.Upto})
	if err != nil {
		return err
	}
	s.more = more
	byRoom := map[int64][]int64{}
	for _, h := range hits {
		byRoom[h.Room] = append(byRoom[h.Room], h.Event)
		s.last = h.Event
	}
	for nid, events := range byRoom {
		if err := s.findIn(ctx, nid, events); err != nil {
			return err
		}
	}
	slices.SortFunc(s.found, func(x, y searchResult) int {
		if s.OrderBy == "recent" {
			return cmp.Compare(y.NID, x.NID)
		}
		return cmp.Or(cmp.Compare(y.rank, x.rank), cmp.Compare(y.NID, x.NID))
	})
	return nil
}

// rooms lists the rooms to search.
func (s *searching) rooms(ctx context.Context) ([]int64, error) {
	var out []int64
	for nid := range s.members {
		if s.filter == nil || s.filter.Rooms == nil && s.filter.NotRooms == nil {
			out = append(out, nid)
			continue
		}
		r, err := s.a.Engine.RoomByNID(ctx, nid)
		if err != nil {
			return nil, err
		}
		if s.filter.MatchRoom(r.ID) {
			out = append(out, nid)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *searching) findIn(ctx context.Context, nid int64, nids []int64) error {
	sight, err := s.sight(ctx, nid)
	if err != nil || sight == nil {
		return err
	}
	events, err := s.a.Engine.Events(ctx, sight.Room.Version, nids)
	if err != nil {
		return err
	}
	h := &history{engine: s.a.Engine, sight: sight, filter: s.filter, ignored: s.ignored}
	related, err := h.related(ctx, events)
	if err != nil {
		return err
	}
	for _, ev := range events {
		ok, err := h.shows(ev)
		if err != nil {
			return err
		}
		erased, err := sight.Erased(ev)
		if err != nil {
			return err
		}
		if ok && !erased && ev.RedactedBy == 0 && ev.Ord <= sight.Last && (related == nil || related[ev]) && s.inGroup(ev) {
			s.found = append(s.found, searchResult{ev, sight, search.Rank(s.words, ev.Type, ev.Content)})
		}
	}
	return nil
}

// inGroup reports whether an event belongs to the group that the token is of.
func (s *searching) inGroup(ev *room.Event) bool {
	return s.token.Key == "" || groupOf(s.token.Key, ev) == s.token.Value
}

func groupOf(key string, ev *room.Event) string {
	if key == "sender" {
		return ev.Sender
	}
	return ev.RoomID
}

// sight is what the user may see of a room; nil for rooms that are encrypted,
// and for those that the user was never in.
func (s *searching) sight(ctx context.Context, nid int64) (*room.Sight, error) {
	if sight, ok := s.sights[nid]; ok {
		return sight, nil
	}
	s.sights[nid] = nil
	r, err := s.a.Engine.RoomByNID(ctx, nid)
	if err != nil {
		return nil, err
	}
	encrypted, err := s.a.Engine.StateEvent(ctx, r, r.Current().State, "m.room.encryption", "")
	if err != nil || encrypted != nil {
		return nil, err
	}
	sight, err := s.a.Engine.SightOf(ctx, r, s.members[nid])
	if err != nil {
		if mxerr.From(err).Code == mxerr.Forbidden {
			return nil, nil
		}
		return nil, err
	}
	s.sights[nid] = sight
	return sight, nil
}
