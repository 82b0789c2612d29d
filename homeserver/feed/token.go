package feed

import (
	"strconv"
	"strings"

	"hearth/matrix/mxerr"
)

// Token is a place in the stream of everything: what a client has seen.
// Its text is "s<position>_<live number>".
type Token struct {
	Pos  int64
	Live int64 // of changes without a position, such as typing
}

func (t Token) String() string {
	return "s" + strconv.FormatInt(t.Pos, 10) + "_" + strconv.FormatInt(t.Live, 10)
}

// ParseToken reads a token of /sync.
func ParseToken(s string) (Token, error) {
	bad := mxerr.New(mxerr.InvalidParam, "%q is not a token of this server", s)
	rest, ok := strings.CutPrefix(s, "s")
	if !ok {
		return Token{}, bad
	}
	pos, live, _ := strings.Cut(rest, "_")
	p, err := strconv.ParseInt(pos, 10, 64)
	if err != nil || p < 0 {
		return Token{}, bad
	}
	l := int64(0)
	if live != "" {
		if l, err = strconv.ParseInt(live, 10, 64); err != nil || l < 0 {
			return Token{}, bad
		}
	}
	return Token{Pos: p, Live: l}, nil
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
