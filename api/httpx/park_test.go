package httpx

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"hearth/matrix/mxerr"
)

// lot is a server with a route whose answer is long in coming.
type lot struct {
	addr    string
	server  *http.Server
	parking *Parking
	answer  chan string   // what the route says, "" for an error
	gone    chan struct{} // has a value when a client hung up
}

func newLot(t *testing.T) *lot {
	l := &lot{parking: NewParking(), answer: make(chan string), gone: make(chan struct{}, 1)}
	router := NewRouter(Config{Log: slog.New(slog.DiscardHandler), Parking: l.parking})
	router.Add(Route{Pattern: "GET /wait", Handler: Patient(func(context.Context, *http.Request, None) (Raw, Later, error) {
		return nil, func(ctx context.Context) (Raw, error) {
			select {
			case text := <-l.answer:
				if text == "" {
					return nil, mxerr.New(mxerr.UnknownPos, "Start anew")
				}
				return Raw(text), nil
			case <-ctx.Done():
				l.gone <- struct{}{}
				return nil, ctx.Err()
			}
		}, nil
	})}, Route{Pattern: "GET /panic", Handler: Patient(func(context.Context, *http.Request, None) (Raw, Later, error) {
		return nil, func(context.Context) (Raw, error) { panic("what we did not think of") }, nil
	})}, Route{Pattern: "GET /now", Handler: Patient(func(context.Context, *http.Request, None) (Raw, Later, error) { return Raw(`{"now":1}`), nil, nil })})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: router, ReadHeaderTimeout: time.Minute, ConnState: l.parking.ConnState}
	l.addr = listener.Addr().String()
	go func() { _ = server.Serve(listener) }()
	go func() { _ = server.Serve(l.parking) }()
	t.Cleanup(func() { l.stop(t) })
	l.server = server
	return l
}

// stop takes no more than a moment, whoever is still connected.
func (l *lot) stop(t *testing.T) {
	t.Helper()
	_ = l.parking.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		t.Errorf("the server does not stop: %v", err)
	}
	l.parking.Wait(ctx)
}

// dial opens a connection; send and read are one request and its answer.
func (l *lot) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

func send(t *testing.T, conn net.Conn, path, more string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET /_matrix/client/v3%s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, more); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, r *bufio.Reader, status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status || string(got) != body || res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %q %v, %v", res.StatusCode, got, res.Header, err)
	}
}

func TestParkedConnectionsComeBack(t *testing.T) {
	l := newLot(t)
	conn, r := l.dial(t)
	for range 3 {
		send(t, conn, "/wait", "")
		l.answer <- `{"a":1}`
		read(t, r, 200, `{"a":1}`)
		send(t, conn, "/now", "")
		read(t, r, 200, `{"now":1}`)
	}
	send(t, conn, "/wait", "")
	l.answer <- ""
	read(t, r, 400, `{"errcode":"M_UNKNOWN_POS","error":"Start anew"}`)
}

// TestPanicOfOneWhoWaits: nobody else notices it.
func TestPanicOfOneWhoWaits(t *testing.T) {
	l := newLot(t)
	conn, r := l.dial(t)
	send(t, conn, "/panic", "")
	read(t, r, 500, `{"errcode":"M_UNKNOWN","error":"Internal server error"}`)
	send(t, conn, "/now", "")
	read(t, r, 200, `{"now":1}`)
}

func TestParkedConnectionsKeepWhatWasSent(t *testing.T) {
	l := newLot(t)
	conn, r := l.dial(t)
	send(t, conn, "/wait", "\r\nGET /_matrix/client/v3/now HTTP/1.1\r\nHost: x\r\n")
	l.answer <- `{"a":1}`
	read(t, r, 200, `{"a":1}`)
	read(t, r, 200, `{"now":1}`)
}

func TestParkedConnectionsClose(t *testing.T) {
	l := newLot(t)
	conn, r := l.dial(t)
	send(t, conn, "/wait", "Connection: close\r\n")
	l.answer <- `{"a":1}`
	read(t, r, 200, `{"a":1}`)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection is still open: %v", err)
	}
}

func TestHungUpClientsAreNotWaitedFor(t *testing.T) {
	l := newLot(t)
	conn, _ := l.dial(t)
	send(t, conn, "/wait", "")
	for {
		l.parking.mu.Lock()
		n := len(l.parking.cars)
		l.parking.mu.Unlock()
		if n == 1 {
			break
		}
	}
	_ = conn.Close()
	<-l.gone
}

// slow is a response whose connection is taken slowly.
type slow struct {
	http.ResponseWriter
	begun, taken chan struct{}
	conn         net.Conn
}

func (s *slow) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	close(s.begun)
	<-s.taken
	return s.conn, bufio.NewReadWriter(bufio.NewReader(s.conn), bufio.NewWriter(s.conn)), nil
}

// A connection that is being taken from net/http while the server stops is waited
// for too; one that comes afterwards stays with net/http.
func TestParkWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewParking()
		c := &call{router: NewRouter(Config{Log: slog.New(slog.DiscardHandler), Parking: p})}
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), callKey{}, c), "GET", "/wait", nil)
		server, client := net.Pipe()
		defer client.Close()
		answered := make(chan struct{})
		later := func(context.Context) (Raw, error) {
			close(answered)
			return Raw(`{}`), nil
		}
		w := &slow{begun: make(chan struct{}), taken: make(chan struct{}), conn: server}
		go park(w, r, later)
		<-w.begun
		_ = p.Close()
		waited := make(chan struct{})
		go func() {
			p.Wait(t.Context())
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("nobody waited for a connection that was being taken")
		default:
		}
		close(w.taken)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		<-waited
		select {
		case <-answered:
		default:
			t.Error("it has not been answered")
		}
		if park(httptest.NewRecorder(), r, later) {
			t.Error("a closed parking takes a connection")
		}
	})
}
