package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeConfig writes a configuration for a server that is alone on this
// machine, takes everybody and relays calls over UDP, TCP and TLS.
func writeConfig(t testing.TB, name, data, listen, database string) {
	t.Helper()
	cert, key := writeCertificate(t, filepath.Dir(name))
	text := fmt.Sprintf(`server_name = "example.test"
[listen]
http = %q
[tls]
mode = "files"
cert = %q
key = %q
[storage]
dir = %q
database = %q
[registration]
mode = "open"
shared_secret = "s3cret"
[turn]
udp = %q
tcp = %q
tls = %q
secret = "turns3cret"
[limits]
enabled = false
`, listen, cert, key, data, database, freeAddress(t), freeAddress(t), freeAddress(t))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddress finds a port of 127.0.0.1 that nobody has, for TCP or UDP.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		if u, err := net.ListenPacket("udp", address); err == nil {
			u.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// writeCertificate makes a certificate that signs itself, for 127.0.0.1.
func writeCertificate(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "example.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}
