package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A renewed certificate is served without a restart, and one that does not fit
// its key not at all.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	changed := time.Now()
	write := func(file string, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		changed = changed.Add(time.Second) // file systems have coarse clocks
		if err := os.Chtimes(file, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	cert1, key1 := selfSigned(t, "one")
	cert2, key2 := selfSigned(t, "two")
	write(cert, cert1)
	write(key, key1)
	c, err := loadCerts(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want string) {
		t.Helper()
		c.next = time.Time{}
		got, err := c.get(nil)
		if err != nil || got.Leaf.Subject.CommonName != want {
			t.Errorf("%v, %v; want %s", got.Leaf.Subject, err, want)
		}
	}
	serves("one")
	write(cert, cert2)
	serves("one") // the key has not come yet
	write(key, key2)
	serves("two")
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	serves("two")
	write(cert, []byte("nonsense"))
	serves("two")

	write(cert, cert1)
	write(key, key1)
	c.next = time.Now().Add(time.Hour)
	if got, _ := c.get(&tls.ClientHelloInfo{}); got.Leaf.Subject.CommonName != "two" {
		t.Error("the files are looked at for every connection")
	}
}

func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
