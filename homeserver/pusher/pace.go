package pusher

import (
	"strconv"
	"time"

	"hearth/base/limit"
)

// paces is how many notifications a pusher gets at once and in the long run. A room
// in which a hundred things are said in a second would have phones do nothing but
// ring, and the server nothing but tell them.
func paces() *limit.Limits {
	return limit.New(map[string]limit.Rate{pacing: {Every: 200 * time.Millisecond, Burst: 100}})
}

const pacing = "pushes"

// pace leaves out what nobody could read: of what is too much for a pusher, the
// newest of a step stays. It is asked about the newest first.
type pace struct {
	limits *limit.Limits
	told   map[int64]bool // who hears of something in this step
	full   map[int64]bool // who hears of no more
	left   bool           // something was left out
}

func (e *Engine) newPace() *pace {
	return &pace{limits: e.paces, told: map[int64]bool{}, full: map[int64]bool{}}
}

// enough reports that a pusher need not be asked about.
func (p *pace) enough(pusher int64) bool {
	p.left = p.left || p.full[pusher]
	return p.full[pusher]
}

// takes reports whether a pusher gets a notification.
func (p *pace) takes(pusher int64) bool {
	_, ok := p.limits.Allow(pacing, strconv.FormatInt(pusher, 10))
	p.full[pusher] = !ok
	ok = ok || !p.told[pusher]
	p.told[pusher] = true
	return ok
}
