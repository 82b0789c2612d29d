package lockdir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the other process: it takes what its environment
// names, says so, and holds it until its input ends.
func TestMain(m *testing.M) {
	what, arg, ok := strings.Cut(os.Getenv("HOLD"), "=")
	if !ok {
		os.Exit(m.Run())
	}
	said, err := hold(what, arg)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(said)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func hold(what, arg string) (string, error) {
	switch what {
	case "tcp":
		ln, err := net.Listen("tcp", arg)
		if err != nil {
			return "", err
		}
		return ln.Addr().String(), nil
	case "udp":
		c, err := net.ListenPacket("udp", arg)
		if err != nil {
			return "", err
		}
		return c.LocalAddr().String(), nil
	}
	_, err := Take(arg)
	return arg, err
}

// otherProcess starts a process that holds something and returns its pid and
// what it holds.
func otherProcess(t *testing.T, what, arg string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOLD="+what+"="+arg)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestDirectoryInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	other, _ := otherProcess(t, "dir", dir)
	_, err := Take(dir)
	e, ok := errors.AsType[*InUseError](err)
	if !ok || e.PID != other.Process.Pid || time.Since(e.Since) > time.Minute {
		t.Fatalf("got %#v", err)
	}
	if want := "(pid " + strconv.Itoa(other.Process.Pid) + ")"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %s", err, want)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	lock, err := Take(dir)
	if err != nil {
		t.Fatalf("after the other was killed: %v", err)
	}
	if _, err := Take(dir); err == nil {
		t.Error("two locks in one process")
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if lock, err = Take(dir); err != nil {
		t.Fatalf("after release: %v", err)
	}
	lock.Release()
}

func TestDirectoryThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(filepath.Join(file, "data")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line", err)
	}
}

func TestPortIsNamed(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		for _, listen := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
			other, addr := otherProcess(t, network, listen)
			name, pid, ok := Holder(network, addr)
			if !ok || pid != other.Process.Pid || !strings.HasPrefix(name, "lockdir") {
				t.Errorf("%s %s is held by %q %d %v, want pid %d", network, addr, name, pid, ok, other.Process.Pid)
			}
			err := listenOn(network, addr)
			if !errors.Is(err, unix.EADDRINUSE) {
				t.Fatalf("%s %s: %v", network, addr, err)
			}
			_, port, _ := net.SplitHostPort(addr)
			text := ListenError(err, network, addr, "listen.http").Error()
			want := fmt.Sprintf("is taken by %s (pid %d); stop that one, or write another port", name, pid)
			if !strings.HasSuffix(text, want) || !strings.HasPrefix(text, "listen.http: "+strings.ToUpper(network)+" port "+port) {
				t.Errorf("got %q", text)
			}
		}
	}
}

func listenOn(network, addr string) error {
	if network == "udp" {
		c, err := net.ListenPacket(network, addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	ln, err := net.Listen(network, addr)
	if err == nil {
		ln.Close()
	}
	return err
}

// A relay opens sockets of its own; its error still says who has the port.
func TestPortOfAnotherPackage(t *testing.T) {
	_, addr := otherProcess(t, "udp", "127.0.0.1:0")
	_, err := net.ListenPacket("udp4", addr)
	got := Explain(fmt.Errorf("relay: %w", err), "[turn]").Error()
	if !strings.HasPrefix(got, "[turn]: UDP port ") || !strings.Contains(got, " of 127.0.0.1 is taken by lockdir") {
		t.Errorf("got %q", got)
	}
	if other := errors.New("no socket in it"); Explain(other, "[turn]") != other {
		t.Error("another error was changed")
	}
}

func TestFreePort(t *testing.T) {
	if name, pid, ok := Holder("tcp", "127.0.0.1:1"); ok {
		t.Errorf("port 1 is held by %s %d", name, pid)
	}
}

func TestListenErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		addr string
		want string
	}{
		{unix.EACCES, ":80", `listen.http: TCP port 80 is reserved for root; give the service CAP_NET_BIND_SERVICE, or write a port above 1023`},
		{unix.EADDRNOTAVAIL, "192.0.2.1:80", `listen.http: 192.0.2.1 is not an address of this machine; write one that is, or ":80" for all of them`},
		{unix.EMFILE, ":80", `listen.http: cannot listen on :80: too many open files`},
	} {
		err := ListenError(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", tc.err)}, "tcp", tc.addr, "listen.http")
		if got := strings.Replace(err.Error(), "listen: bind: ", "", 1); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
	if ListenError(nil, "tcp", ":80", "listen.http") != nil {
		t.Error("no error became one")
	}
}
