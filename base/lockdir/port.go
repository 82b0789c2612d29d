package lockdir

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ListenError makes a sentence of the failure to listen on addr ("host:port"),
// which the operator wrote as the setting key. network is "tcp" or "udp".
// Errors that it does not know are wrapped as they are.
func ListenError(err error, network, addr, key string) error {
	host, port, _ := net.SplitHostPort(addr)
	where := fmt.Sprintf("%s port %s", strings.ToUpper(network), port)
	if host != "" {
		where += " of " + host
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: %s is taken by %s; stop that one, or write another port", key, where, holderText(network, addr))
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: %s is reserved for root; give the service CAP_NET_BIND_SERVICE, or write a port above 1023", key, where)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: %s is not an address of this machine; write one that is, or %q for all of them", key, host, ":"+port)
	}
	return fmt.Errorf("%s: cannot listen on %s: %w", key, addr, err)
}

// Explain is ListenError for a listener that another package opened: network and
// address come from the *net.OpError in err's chain. An err without one is
// returned as it is.
func Explain(err error, key string) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Addr == nil {
		return err
	}
	return ListenError(err, strings.TrimRight(op.Net, "46"), op.Addr.String(), key)
}

func holderText(network, addr string) string {
	name, pid, ok := Holder(network, addr)
	if !ok {
		return "another program (as root, \"ss -lpn\" names it)"
	}
	if pid == os.Getpid() {
		return "this very program, for another setting"
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}

// Holder finds the process that listens on addr ("host:port"; network "tcp" or
// "udp"). It is best effort: other users' processes are hidden from everybody
// but root, and it reads Linux's /proc.
func Holder(network, addr string) (name string, pid int, ok bool) {
	want, err := parseListen(addr)
	if err != nil {
		return "", 0, false
	}
	var inodes []string
	for _, table := range []string{network, network + "6"} {
		inodes = append(inodes, listeners(table, want)...)
	}
	for _, inode := range inodes {
		if pid := socketOwner(inode); pid != 0 {
			return processName(pid), pid, true
		}
	}
	return "", 0, false
}

// parseListen reads what net.Listen takes; no host means every address.
func parseListen(addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch host {
	case "":
		host = "::"
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), err
}

// listeners returns the inodes of the sockets in /proc/net/<table> that stand in
// the way of want.
func listeners(table string, want netip.AddrPort) []string {
	f, err := os.Open("/proc/net/" + table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var inodes []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		local, ok := parseProcAddr(fields[1])
		if !ok || local.Port() != want.Port() || !waits(table, fields[3]) {
			continue
		}
		if a, b := local.Addr(), want.Addr(); a == b || a.IsUnspecified() || b.IsUnspecified() {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// waits tells listening sockets by their state: TCP's LISTEN is 0A, and an
// unconnected UDP socket is 07.
func waits(table, state string) bool {
	return strings.HasPrefix(table, "tcp") && state == "0A" || strings.HasPrefix(table, "udp") && state == "07"
}

// parseProcAddr reads "0100007F:1F90": the address as 32-bit words in the
// machine's own byte order.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	hexAddr, hexPort, _ := strings.Cut(s, ":")
	raw, err1 := hex.DecodeString(hexAddr)
	port, err2 := strconv.ParseUint(hexPort, 16, 16)
	if err1 != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), ok
}

// socketOwner finds the process that has the socket open, or 0.
func socketOwner(inode string) int {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // fails on a bad pattern only
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && link == want {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2]) // the pattern wants digits
			return pid
		}
	}
	return 0
}
