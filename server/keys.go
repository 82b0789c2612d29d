package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"hearth/matrix/mxid"
)

// signingKey reads the server's signing key, or makes it the first time. The
// file has Synapse's form, so that the key can move between the two:
// "ed25519 <version> <base64 seed>".
func signingKey(path string) (id string, key ed25519.PrivateKey, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSigningKey(path)
	}
	if err != nil {
		return "", nil, err
	}
	fields := strings.Fields(string(text))
	if len(fields) != 3 || fields[0] != "ed25519" {
		return "", nil, fmt.Errorf("%s: want one line \"ed25519 <version> <seed>\"", path)
	}
	seed, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[2], "="))
	if err != nil || len(seed) != ed25519.SeedSize {
		return "", nil, fmt.Errorf("%s: the seed must be 32 bytes in base64", path)
	}
	return "ed25519:" + fields[1], ed25519.NewKeyFromSeed(seed), nil
}

func newSigningKey(path string) (string, ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, err
	}
	version := "a_" + mxid.RandomString(4)
	line := fmt.Sprintf("ed25519 %s %s\n", version, base64.RawStdEncoding.EncodeToString(key.Seed()))
	return "ed25519:" + version, key, writeDurably(path, []byte(line))
}

// writeDurably writes a file that must be whole or absent after a crash: other
// servers will remember this key.
func writeDurably(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
