package feed

import (
	"context"
	"time"

	"hearth/base/contain"
)

// Pending is a request to which there is nothing to tell yet. It holds little
// memory while it waits.
type Pending struct {
	// look makes the answer. With last it is the answer even if it says nothing.
	look func(ctx context.Context, last bool) (body []byte, done bool, err error)
	// calm is how long to wait although there may be news.
	calm  func() time.Duration
	woken <-chan struct{}
	quit  <-chan struct{}
	hurry <-chan struct{} // closed when the client asks again, which voids this request; may be nil
	void  func() []byte   // the answer then
	until time.Time
	end   func()
	still func(ctx context.Context) error // nil for a client that may always ask
}

// While ends the request when still returns an error, which is then the answer:
// what comes after a logout is not for this client. It is asked whenever the user
// is woken.
func (p *Pending) While(still func(ctx context.Context) error) { p.still = still }

// begin answers a request to which there is something to tell now. A device that
// is to wait for more although there is something waits here: to park its request
// for that moment would cost more than it holds.
func (p *Pending) begin(ctx context.Context) ([]byte, *Pending, error) {
	err := p.rest(ctx)
	if err != nil {
		p.end()
		return nil, nil, err
	}
	body, done, err := p.look(ctx, false)
	if err != nil || done {
		p.end()
		return body, nil, err
	}
	return nil, p, nil
}

// Wait returns the answer when there is one, or when the request's time is over.
// It must be called once.
func (p *Pending) Wait(ctx context.Context) ([]byte, error) {
	defer p.end()
	timeout := time.NewTimer(time.Until(p.until))
	defer timeout.Stop()
	if err := p.goesOn(ctx); err != nil { // it may have ended before somebody listened
		return nil, err
	}
	for {
		last := false
		select {
		case <-p.woken:
		case <-timeout.C:
			last = true
		case <-p.quit:
			last = true
		case <-p.hurry:
			return p.void(), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := p.goesOn(ctx); err != nil {
			return nil, err
		}
		var body []byte
		var done bool
		var err error
		if last {
			body, _, err = p.apart(ctx, true)
			return body, err
		}
		if body, done, err = p.lookCalmly(ctx); err != nil || done {
			return body, err
		}
	}
}

func (p *Pending) goesOn(ctx context.Context) error {
	if p.still == nil {
		return nil
	}
	return p.still(ctx)
}

// lookCalmly looks when it is time.
func (p *Pending) lookCalmly(ctx context.Context) (body []byte, done bool, err error) {
	if err := p.rest(ctx); err != nil {
		return nil, false, err
	}
	return p.apart(ctx, false)
}

// rest returns when it is time to look.
func (p *Pending) rest(ctx context.Context) error {
	for d := p.calm(); d > 0; d = p.calm() {
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-p.quit:
			t.Stop()
			return nil
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// apart looks in a goroutine of its own: the stack that this takes would else be
// held for as long as the request waits on.
func (p *Pending) apart(ctx context.Context, last bool) (body []byte, done bool, err error) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		err = contain.Call(func() (err error) {
			body, done, err = p.look(ctx, last)
			return err
		})
	}()
	<-over
	return body, done, err
}

const (
	// stir is how often a device is answered at most while much happens: what comes
	// meanwhile goes with the next answer, which costs a fraction of another one.
	stir = 50 * time.Millisecond
	// crowd is how much has to happen, in stream positions since the client's
	// token, to count as much. People who talk do not reach it.
	crowd = 5
	// uproar is when a device is answered half as often: nobody can read as much.
	uproar = 8 * crowd
)

// calm is how long a device that has just been answered is to wait for more.
func (f *Feed) calm(s *sentMembers, since Token) time.Duration {
	pause := stir
	switch n := f.Hub.Pos() - since.Pos; {
	case n < crowd:
		return 0
	case n >= uproar:
		pause = 2 * stir
	}
	return pause - time.Since(time.Unix(0, s.answered.Load()))
}
