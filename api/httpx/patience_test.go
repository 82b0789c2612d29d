package httpx_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearth/api/httpx"
)

// pipes is a listener without a network, so that time can be fake.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.done)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.IPAddr{} }

func (p pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// serve runs f against routes in a bubble of fake time. All goroutines of the
// server must have ended when its clients are gone.
func serve(t *testing.T, f func(t *testing.T, p pipes)) {
	synctest.Test(t, func(t *testing.T) {
		router := httpx.NewRouter(httpx.Config{Log: slog.New(slog.DiscardHandler)})
		router.Add(httpx.Route{Pattern: "PUT /echo", Handler: httpx.JSON(func(_ context.Context, _ *http.Request, body map[string]any) (any, error) {
			return body, nil
		})}, httpx.Route{Pattern: "POST /poll", Handler: httpx.JSON(func(ctx context.Context, _ *http.Request, _ map[string]any) (any, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Hour):
				return map[string]string{"news": "none"}, nil
			}
		})}, httpx.Route{Pattern: "POST /file", MaxBody: 100 << 20, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				httpx.Fail(w, r, err)
			}
		})}, httpx.Route{Pattern: "POST /own", Auth: httpx.User, MaxBody: 100 << 20, Handler: httpx.JSON(func(context.Context, *http.Request, httpx.None) (any, error) {
			return nil, nil
		})}, httpx.Route{Pattern: "GET /large", Handler: httpx.JSON(func(context.Context, *http.Request, httpx.None) (any, error) {
			return strings.Repeat("x", 1<<20), nil
		})})
		p := pipes{make(chan net.Conn), make(chan struct{})}
		srv := &http.Server{Handler: router}
		ended := make(chan error)
		go func() { ended <- srv.Serve(p) }()
		f(t, p)
		srv.Close()
		<-ended
	})
}

const base = "/_matrix/client/v3"

// A client that says it will send a body and does not is answered, and let go.
func TestBodyThatNeverComes(t *testing.T) {
	serve(t, func(t *testing.T, p pipes) {
		c := p.dial()
		defer c.Close()
		start := time.Now()
		fmt.Fprintf(c, "PUT %s/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", base)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if took := time.Since(start); res.StatusCode != http.StatusRequestTimeout || took < time.Minute || took > 2*time.Minute {
			t.Errorf("status %d after %v, want 408 after a minute or two", res.StatusCode, took)
		}
		var says struct {
			Code string `json:"errcode"`
		}
		if err := json.NewDecoder(res.Body).Decode(&says); err != nil || says.Code != "M_UNKNOWN" {
			t.Errorf("%+v, %v, want a Matrix error", says, err)
		}
	})
}

// A client that is slow but comes forward gets its answer, also after a long
// silence on the same connection, and a poll may take an hour.
func TestSlowButHonest(t *testing.T) {
	serve(t, func(t *testing.T, p pipes) {
		c := p.dial()
		defer c.Close()
		answers := bufio.NewReader(c)
		for _, path := range []string{"PUT " + base + "/echo", "POST " + base + "/poll", "PUT " + base + "/echo"} {
			body := `{"a":1}`
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, len(body))
			for i := range body {
				time.Sleep(5 * time.Second)
				if _, err := c.Write([]byte{body[i]}); err != nil {
					t.Fatalf("%s: byte %d: %v", path, i, err)
				}
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d, %v", path, res.StatusCode, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// A client that asks for much and reads nothing is let go, too.
func TestAnswerThatNobodyReads(t *testing.T) {
	serve(t, func(t *testing.T, p pipes) {
		c := p.dial()
		defer c.Close()
		fmt.Fprintf(c, "GET %s/large HTTP/1.1\r\nHost: x\r\n\r\n", base)
		time.Sleep(time.Hour)
		n, err := io.Copy(io.Discard, c)
		if err != nil || n > 1<<19 {
			t.Errorf("an hour later %d bytes still came (%v)", n, err)
		}
	})
}

// A poll ends when its client hangs up, although the body had a deadline.
func TestHangUp(t *testing.T) {
	serve(t, func(_ *testing.T, p pipes) {
		c := p.dial()
		fmt.Fprintf(c, "POST %s/poll HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", base)
		synctest.Wait()
		c.Close()
		synctest.Wait() // serve sees that nothing is left
	})
}

// A client that asks whether it may send a large body is told no before it does.
func TestMaySend(t *testing.T) {
	serve(t, func(t *testing.T, p pipes) {
		for length, want := range map[int64][]int{httpx.DefaultMaxBody + 1: {http.StatusRequestEntityTooLarge}, 2: {http.StatusContinue, http.StatusOK}} {
			c := p.dial()
			fmt.Fprintf(c, "PUT %s/echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", base, length)
			answers := bufio.NewReader(c)
			for _, status := range want {
				res, err := http.ReadResponse(answers, nil)
				if err != nil || res.StatusCode != status {
					t.Fatalf("a body of %d bytes: %v, %v, want %d", length, res, err, status)
				}
				if status == http.StatusContinue {
					_, _ = io.WriteString(c, "{}")
				}
			}
			c.Close()
		}
	})
}

// What breaks off is the client's doing, whoever reads it; and whoever may not send
// is not waited for as long as those who may.
func TestBodyThatBreaksOff(t *testing.T) {
	serve(t, func(t *testing.T, p pipes) {
		for _, tc := range []struct {
			request string
			status  int
			within  time.Duration
		}{
			{"PUT %s/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", http.StatusBadRequest, time.Second},
			{"POST %s/file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", http.StatusBadRequest, time.Second},
			{"POST %s/file HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", http.StatusRequestTimeout, time.Hour},
			{"POST %s/own HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", http.StatusUnauthorized, 2 * time.Minute},
		} {
			c := p.dial()
			start := time.Now()
			fmt.Fprintf(c, tc.request, base)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != tc.status || time.Since(start) > tc.within {
				t.Errorf("%q: %v, %v after %v, want %d", tc.request, res, err, time.Since(start), tc.status)
			}
			c.Close()
		}
	})
}
