package faults

import (
	"fmt"
	"net"
	"net/url"
	"testing"

	"hearth/e2e"
)

// TestStopWithStuckClients: clients that began a request and went no further do
// not keep the server from ending in time and in order.
func TestStopWithStuckClients(t *testing.T) {
	h := e2e.Start(t, e2e.Build(t), "")
	alice := h.Register(t, "alice")
	at, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, begun := range []string{
		"",
		"GET /_matrix/client/v3/sy",
		"POST /_matrix/client/v3/createRoom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + alice.Token + "\r\nContent-Length: 100\r\n\r\n{",
		"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		c, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprint(c, begun); err != nil {
			t.Fatal(err)
		}
	}
	makeRoom(t, alice) // by now the server has seen the others
	h.Stop(t)
}
