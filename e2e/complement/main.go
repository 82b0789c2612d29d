// Command complement starts Hearth in the container that Complement, the public
// conformance suite for homeservers, runs its tests against. The image has
// nothing but this program and Hearth, so what a shell script would do is done
// here: write a configuration for the server name that the suite chose, and make
// a certificate that its authority vouches for. docs/conformance.md says how to
// run the suite.
package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The places that the suite and the Dockerfile agree on.
const (
	caCert  = "/complement/ca/ca.crt"
	caKey   = "/complement/ca/ca.key"
	dataDir = "/data"
	hearth  = "/hearth"
)

// configuration is what the suite expects of a homeserver: everybody may
// register in one request, nothing is limited, and peers are in private
// networks. Its tests give power levels to the creators of rooms, which rooms of
// version 12 forbid.
const configuration = `server_name = %q
[listen]
http = "0.0.0.0:8008"
https = "0.0.0.0:8448"
[tls]
mode = "files"
cert = %q
key = %q
[storage]
dir = %q
[registration]
mode = "open"
shared_secret = "complement"
guests = true
[rooms]
default_version = "11"
[limits]
enabled = false
[media]
preview_allowed = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"]
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "complement:", err)
		os.Exit(1)
	}
}

// run prepares the data directory and becomes Hearth.
func run() error {
	name := cmp.Or(os.Getenv("SERVER_NAME"), "hs1")
	for _, dir := range []string{dataDir, os.TempDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	cert, key := filepath.Join(dataDir, "tls.crt"), filepath.Join(dataDir, "tls.key")
	if err := makeLeaf(name, cert, key); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	file := filepath.Join(dataDir, "hearth.toml")
	text := fmt.Sprintf(configuration, name, cert, key, dataDir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	return syscall.Exec(hearth, []string{hearth, "serve", "--config", file}, os.Environ())
}

// makeLeaf writes a certificate for name, signed by the suite's authority, and
// its key.
func makeLeaf(name, certFile, keyFile string) error {
	ca, err := readPEM(caCert, x509.ParseCertificate)
	if err != nil {
		return err
	}
	signer, err := readPEM(caKey, x509.ParsePKCS1PrivateKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), signer)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600),
	)
}

func readPEM[T any](file string, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := os.ReadFile(file)
	if err != nil {
		return none, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return none, fmt.Errorf("%s is not PEM", file)
	}
	return parse(block.Bytes)
}
