package httpx

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"hearth/base/contain"
)

// Later makes an answer that is not there yet. It may take minutes, and returns
// when ctx is over.
type Later func(ctx context.Context) (Raw, error)

// Patient is JSON for requests whose answer may be long in coming. fn answers at
// once, or returns a Later.
func Patient[Req any](fn func(context.Context, *http.Request, Req) (Raw, Later, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Req
		err := decode(r, &req)
		var res Raw
		var later Later
		if err == nil {
			res, later, err = fn(r.Context(), r, req)
		}
		if err == nil && later != nil {
			if park(w, r, later) {
				return
			}
			res, err = later(r.Context())
		}
		if err != nil {
			Fail(w, r, err)
			return
		}
		Answer(w, r, http.StatusOK, res)
	})
}

// Parking keeps connections whose requests wait. To net/http a request costs two
// goroutines with the stacks of all that they called, and two buffers; here it
// costs one that has called next to nothing. When the answer has been written the
// connection goes back to net/http, by the listener that Parking is.
type Parking struct {
	back   chan net.Conn
	closed chan struct{}
	once   sync.Once
	wait   sync.WaitGroup

	mu   sync.Mutex
	cars map[*car]struct{}
	idle map[net.Conn]struct{} // with net/http, and silent since they came
}

// car is a connection that waits.
type car struct {
	conn net.Conn
	gone context.CancelFunc // called when the client has hung up
}

// sweepEvery is how often it is looked whether clients are still there.
const sweepEvery = 5 * time.Second

// NewParking returns a Parking. Serve it beside the listeners whose connections it
// takes.
func NewParking() *Parking {
	p := &Parking{back: make(chan net.Conn), closed: make(chan struct{}), cars: map[*car]struct{}{}, idle: map[net.Conn]struct{}{}}
	p.wait.Go(p.sweep)
	return p
}

// Accept returns a connection that has got its answer.
func (p *Parking) Accept() (net.Conn, error) {
	select {
	case c := <-p.back:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close lets no connection come back any more, and closes those over which nothing
// has come since they did: http.Server would wait five seconds for them, since to it
// they are new.
func (p *Parking) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once.Do(func() { close(p.closed) })
	for c := range p.idle {
		_ = c.Close()
	}
	return nil
}

// ConnState is to be the ConnState of the http.Server that serves p.
func (p *Parking) ConnState(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state != http.StateNew {
		delete(p.idle, c)
		return
	}
	select {
	case <-p.closed:
		_ = c.Close()
	default:
		p.idle[c] = struct{}{}
	}
}

// Addr is no address: nobody can connect to a Parking.
func (p *Parking) Addr() net.Addr { return &net.UnixAddr{Name: "parking", Net: "unix"} }

// Wait returns when nobody waits any more, or ctx is over. Call it after Close.
func (p *Parking) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		p.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// park takes the connection of a request, if that can be done, and answers later.
func park(w http.ResponseWriter, r *http.Request, later Later) bool {
	call, ok := r.Context().Value(callKey{}).(*call)
	if !ok || call.router.cfg.Parking == nil || r.ProtoMajor != 1 {
		return false
	}
	p := call.router.cfg.Parking
	if !p.enter() {
		return false
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.wait.Done()
		return false
	}
	if n := buffered.Reader.Buffered(); n > 0 { // the client has asked for more already
		rest, _ := buffered.Reader.Peek(n)
		conn = &resumed{Conn: conn, rest: bytes.NewReader(bytes.Clone(rest))}
	}
	last := r.Close || r.ProtoMinor == 0
	pattern, rt := r.Pattern, call.router
	ctx, gone := context.WithCancel(context.Background())
	c := &car{conn, gone}
	p.mu.Lock()
	p.cars[c] = struct{}{}
	p.mu.Unlock()
	go func() {
		defer p.wait.Done()
		p.stay(ctx, c, rt, pattern, last, later)
	}()
	return true
}

// enter counts a connection among those that Wait waits for, unless Close was
// called. It comes before the connection is taken from net/http, whose Shutdown
// does not wait for it from then on.
func (p *Parking) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return false
	default:
		p.wait.Add(1)
		return true
	}
}

// stay waits for the answer.
func (p *Parking) stay(ctx context.Context, c *car, rt *Router, pattern string, last bool, later Later) {
	res, err := contain.Value(func() (Raw, error) { return later(ctx) })
	p.mu.Lock()
	delete(p.cars, c)
	p.mu.Unlock()
	over := ctx.Err() != nil
	c.gone()
	if over || answer(c.conn, rt, pattern, last, res, err) != nil || last {
		_ = c.conn.Close()
		return
	}
	select {
	case p.back <- c.conn:
	case <-p.closed:
		_ = c.conn.Close()
	}
}

// answer writes a response as net/http would.
func answer(conn net.Conn, rt *Router, pattern string, last bool, body Raw, err error) error {
	header := http.Header{}
	cors(header)
	res := &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header, Close: last}
	if err != nil {
		e := rt.explain(context.Background(), pattern, err)
		res.StatusCode = e.HTTPStatus()
		fields := map[string]any{"errcode": e.Code, "error": e.Text}
		for k, v := range e.Fields {
			fields[k] = v
		}
		if body, err = json.Marshal(fields); err != nil {
			return err
		}
	}
	header.Set("Content-Type", "application/json")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	res.ContentLength, res.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	if err := conn.SetWriteDeadline(time.Now().Add(timeFor(res.ContentLength))); err != nil {
		return err
	}
	out := bufio.NewWriterSize(conn, min(len(body)+1024, 64<<10))
	if err := res.Write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// sweep finds clients that have hung up.
func (p *Parking) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.closed:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		cars := make([]*car, 0, len(p.cars))
		for c := range p.cars {
			cars = append(cars, c)
		}
		p.mu.Unlock()
		for _, c := range cars {
			if hungUp(c.conn) {
				c.gone()
			}
		}
	}
}

// resumed is a connection of which something has been read ahead.
type resumed struct {
	net.Conn
	rest *bytes.Reader
}

func (c *resumed) Read(b []byte) (int, error) {
	if c.rest.Len() > 0 {
		return c.rest.Read(b)
	}
	return c.Conn.Read(b)
}
