package feed

import (
	"strconv"
	"strings"

	"hearth/matrix/mxerr"
)

// Token is a place in the stream of everything: what a client has seen.
// Its text is "s<position>_<live number>", with "_<inbox>" if that is behind, and
// with "_<inbox>_<sticky>" if sticky events are.
type Token struct {
	Pos   int64
	Live  int64 // of changes without a position, such as typing
	Inbox int64 // position up to which the device has its messages

	Sticky int64 // position up to which it has sticky events
}

func (t Token) String() string {
	s := "s" + strconv.FormatInt(t.Pos, 10) + "_" + strconv.FormatInt(t.Live, 10)
	if t.Inbox != t.Pos || t.Sticky != t.Pos {
		s += "_" + strconv.FormatInt(t.Inbox, 10)
	}
	if t.Sticky != t.Pos {
		s += "_" + strconv.FormatInt(t.Sticky, 10)
	}
	return s
}

// ParseToken reads a token of /sync.
func ParseToken(s string) (t Token, err error) {
	bad := mxerr.New(mxerr.InvalidParam, "%q is not a token of this server", s)
	rest, ok := strings.CutPrefix(s, "s")
	if !ok {
		return Token{}, bad
	}
	parts := strings.Split(rest, "_")
	if len(parts) > 4 {
		return Token{}, bad
	}
	numbers := []*int64{&t.Pos, &t.Live, &t.Inbox, &t.Sticky}
	for i, part := range parts {
		if *numbers[i], err = strconv.ParseInt(part, 10, 64); err != nil || *numbers[i] < 0 {
			return Token{}, bad
		}
	}
	if len(parts) < 3 {
		t.Inbox = t.Pos
	}
	if len(parts) < 4 {
		t.Sticky = t.Pos
	}
	return t, nil
}

// PlaceToken is the token of a place in a room's timeline, between the events
// up to ord and those after it. /messages continues there in both directions.
func PlaceToken(ord int64) string { return "t" + strconv.FormatInt(ord, 10) }

// ParsePlace reads a token of a place in a timeline; a token of /sync is one
// too, and so is a position of sliding sync, which ends in one.
func ParsePlace(s string) (int64, error) {
	if _, rest, ok := strings.Cut(s, "/"); ok {
		s = rest
	}
	if rest, ok := strings.CutPrefix(s, "t"); ok {
		if n, err := strconv.ParseInt(rest, 10, 64); err == nil {
			return n, nil
		}
	}
	t, err := ParseToken(s)
	return t.Pos, err
}
