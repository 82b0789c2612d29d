// Package s3test runs an S3-compatible server for tests.
package s3test

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"hearth/base/blob"
)

// Start runs a server with an empty bucket until the test ends. The program comes
// from "go run ./dev test", which names it in HEARTH_TEST_S3.
func Start(t testing.TB) blob.Bucket {
	t.Helper()
	program := os.Getenv("HEARTH_TEST_S3")
	if program == "" {
		t.Skip(`HEARTH_TEST_S3 does not name an S3-compatible server ("go run ./dev test" installs one)`)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	root, sidecar := t.TempDir(), t.TempDir()
	if err := os.Mkdir(root+"/files", 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--quiet", "--port", address, "--access", "hearth", "--secret", "s3cret-s3cret", "posix", "--sidecar", sidecar, root)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // there is nothing else to wait for
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the S3 server does not listen: %v", err)
		}
	}
	return blob.Bucket{Endpoint: address, Insecure: true, Region: "us-east-1", Name: "files", Prefix: "hearth", AccessKey: "hearth", SecretKey: "s3cret-s3cret", PathStyle: true}
}
