package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"hearth/base/config"
	"hearth/base/netguard"
	"hearth/homeserver/pusher"
)

// gateways are the special addresses at which push gateways may be.
func gateways(cfg *config.Config) (allowed netguard.Ranges) {
	for _, r := range cfg.Push.AllowedGateways {
		allowed = append(allowed, netguard.Range{From: r.First, To: r.Last})
	}
	return allowed
}

// vapidKey reads the key by which push services know the server, or makes it the
// first time. Browsers have subscribed with it, so it must last.
func vapidKey(path, subject string) (*pusher.VAPID, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = newVAPIDKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: want a private key in PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: want a key of the curve P-256", path)
	}
	return pusher.NewVAPID(private, subject)
}

func newVAPIDKey(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return text, writeDurably(path, text)
}
