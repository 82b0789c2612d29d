package appservice

import (
	"errors"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// Regex is a regular expression of a registration. Those who write them test them
// with servers in Python.
type Regex interface {
	MatchString(id string) bool
}

// compile reads a regular expression, which is to fit from the start, as other
// servers read it. RE2 takes nearly all that there are, and no more time for one
// identifier than for another; what it does not know (look-ahead) goes to an engine
// that tries and goes back.
func compile(text string) (Regex, error) {
	if text == "" {
		return nil, errors.New("an empty one fits everything")
	}
	text = "^(?:" + text + ")"
	fast, err := regexp.Compile(text)
	if err == nil {
		return fast, nil
	}
	slow, slowErr := regexp2.Compile(text, regexp2.RE2)
	if slowErr != nil {
		return nil, err
	}
	slow.MatchTimeout = maxMatching
	return trying{slow}, nil
}

// maxMatching bounds how long one identifier is tried, which anybody may have made
// up.
const maxMatching = 50 * time.Millisecond

// trying is a regular expression of the slow engine.
type trying struct{ *regexp2.Regexp }

// MatchString reports whether an id fits. One that takes too long does not.
func (t trying) MatchString(id string) bool {
	ok, err := t.Regexp.MatchString(id)
	return ok && err == nil
}
