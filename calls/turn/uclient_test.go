package turn

import (
	"context"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestCoturnsClient runs coturn's own test client, the yardstick of the field,
// in every way that a Matrix client uses TURN.
func TestCoturnsClient(t *testing.T) {
	uclient, err := exec.LookPath("turnutils_uclient")
	if err != nil {
		t.Skip("turnutils_uclient is not installed; it comes with Debian's package coturn")
	}
	s := serve(t, func(c *Config) { c.AllowedPeers = ranges(t, "127.0.0.1") })
	port := echoPair(t)
	a := s.Addrs()
	udp, tcp, tls := a.UDP[0].Port(), a.TCP[0].Port(), a.TLS[0].Port()
	toPeer := []string{"-e", "127.0.0.1", "-r", strconv.Itoa(port)}
	for _, tc := range []struct {
		name string
		port uint16
		args []string
	}{
		{"UDP", udp, toPeer},
		{"UDP with RTP and RTCP port pairs", udp, append([]string{"-m", "2"}, toPeer...)},
		{"UDP without RTCP", udp, append([]string{"-c"}, toPeer...)},
		{"TCP", tcp, append([]string{"-t"}, toPeer...)},
		{"TLS", tls, append([]string{"-t", "-S"}, toPeer...)},
		{"indications over UDP", udp, append([]string{"-s"}, toPeer...)},
		{"indications over TCP", tcp, append([]string{"-s", "-t"}, toPeer...)},
		{"indications over TLS", tls, append([]string{"-s", "-t", "-S"}, toPeer...)},
		{"client to client over UDP", udp, []string{"-y"}},
		{"client to client over TCP", tcp, []string{"-y", "-t"}},
		{"client to client over TLS", tls, []string{"-y", "-t", "-S"}},
		{"client to client by indications", udp, []string{"-y", "-s"}},
		{"padded channel data", udp, append([]string{"-D"}, toPeer...)},
		{"many clients", udp, []string{"-y", "-m", "20"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cred := s.Credentials("@alice:example.test", time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := append([]string{"-u", cred.Username, "-w", cred.Password, "-p", strconv.Itoa(int(tc.port)), "-n", "20", "-l", "160", "-X", "-z", "5"}, tc.args...)
			out, err := exec.CommandContext(ctx, uclient, append(args, "127.0.0.1")...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			sent, received, lost := totals(string(out))
			if sent == 0 || sent != received || lost != 0 {
				t.Errorf("sent %d, received %d, lost %d\n%s", sent, received, lost, out)
			}
		})
	}
}

var (
	sentLine = regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)
	lostLine = regexp.MustCompile(`Total lost packets (\d+)`)
)

// totals finds the last counts in the client's report.
func totals(out string) (sent, received, lost int) {
	lost = -1
	for _, m := range sentLine.FindAllStringSubmatch(out, -1) {
		sent, _ = strconv.Atoi(m[1])
		received, _ = strconv.Atoi(m[2])
	}
	if m := lostLine.FindStringSubmatch(out); m != nil {
		lost, _ = strconv.Atoi(m[1])
	}
	return sent, received, lost
}

// echoPair echoes on two ports in a row, the client's idea of RTP and RTCP,
// and returns the lower one.
func echoPair(t *testing.T) int {
	t.Helper()
	for {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := int(addrPort(c.LocalAddr()).Port())
		next, err := net.ListenPacket("udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		_ = c.Close()
		if err != nil {
			continue
		}
		_ = next.Close()
		echo(t, "udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		echo(t, "udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		return port
	}
}
