// Package sms sends text messages through a gateway of the operator's: a program
// that takes {"to": "+441632960000", "text": "..."} by HTTP.
package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"hearth/base/contain"
)

const (
	// maxWaiting bounds the queue.
	maxWaiting = 1000
	attempts   = 3
	patience   = 30 * time.Second
)

// ErrFull means that too many messages are waiting already.
var ErrFull = errors.New("too many text messages are waiting to be sent")

// Config says where messages go.
type Config struct {
	URL   string
	Token string // sent along as a bearer token; "" for none
	Log   *slog.Logger
	Pause time.Duration // before the second attempt; 0 means five seconds
}

// Gateway sends messages. Post works after Start.
type Gateway struct {
	Config
	client *http.Client
	queue  chan message
	stop   context.CancelFunc
	done   sync.WaitGroup
}

type message struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

// New returns a Gateway. The operator has named its address, so that it may be
// in the house; it may not lead elsewhere.
func New(c Config) *Gateway {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Pause == 0 {
		c.Pause = 5 * time.Second
	}
	client := &http.Client{
		Timeout: patience, Transport: &http.Transport{IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Gateway{Config: c, client: client, queue: make(chan message, maxWaiting)}
}

// Start begins to send what is posted. Stop ends it.
func (g *Gateway) Start(ctx context.Context) {
	ctx, g.stop = context.WithCancel(ctx)
	contain.Work(ctx, &g.done, g.Log, "SMS", func(ctx context.Context) {
		for {
			select {
			case m := <-g.queue:
				g.insist(ctx, m)
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop returns when nothing runs any more.
func (g *Gateway) Stop() {
	if g.stop != nil {
		g.stop()
		g.done.Wait()
	}
	g.client.CloseIdleConnections()
}

// Post sends a text to a number ("+441632960000") soon. The error is ErrFull.
func (g *Gateway) Post(to, text string) error {
	select {
	case g.queue <- message{to, text}:
		return nil
	default:
		return ErrFull
	}
}

func (g *Gateway) insist(ctx context.Context, m message) {
	for try := 1; ; try++ {
		err := g.send(ctx, m)
		if err == nil || ctx.Err() != nil {
			return
		}
		if try == attempts {
			g.Log.Error("a text message was not sent", "err", err)
			return
		}
		select {
		case <-time.After(g.Pause):
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) send(ctx context.Context, m message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if g.Token != "" {
		req.Header.Set("Authorization", "Bearer "+g.Token)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // what it says does not matter
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered with status %d", res.StatusCode)
	}
	return nil
}
