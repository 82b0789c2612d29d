package clientapi

import (
	"context"
	"net/http"
	"time"

	"hearth/api/httpx"
)

func (p *Personal) typingRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "PUT /rooms/{roomId}/typing/{userId}",
		Auth:    httpx.User,
		Limit:   "typing",
		Handler: httpx.JSON(p.setTyping),
		Spec:    "setTyping",
	}}
}

type setTypingReq struct {
	Typing  *bool  `json:"typing"`
	Timeout *int64 `json:"timeout"` // milliseconds, ignored unless typing
}

const (
	// defaultTyping is for clients that do not say for how long.
	defaultTyping = 30 * time.Second
	// longestTyping keeps a number of milliseconds within a time.Duration.
	longestTyping = int64(time.Hour / time.Millisecond)
)

// setTyping: client-server-api/#put_matrixclientv3roomsroomidtypinguserid
func (p *Personal) setTyping(ctx context.Context, r *http.Request, req setTypingReq) (empty, error) {
	user, err := self(ctx, r, "typing state")
	if err != nil {
		return empty{}, err
	}
	if req.Typing == nil {
		return empty{}, missing("typing")
	}
	in, err := p.roomOf(ctx, r, user)
	if err != nil {
		return empty{}, err
	}
	d := time.Duration(0)
	if *req.Typing {
		d = defaultTyping
		if req.Timeout != nil {
			d = time.Duration(max(min(*req.Timeout, longestTyping), 0)) * time.Millisecond
		}
	}
	return empty{}, p.Typing.Set(ctx, in, user, d)
}
