package pusher

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hearth/base/store"
	"hearth/matrix/canonjson"
)

// unstableWebPush is the kind while MSC4174 is not accepted.
const unstableWebPush = "org.matrix.msc4174.webpush"

// VAPID is the key by which push services know this server (RFC 8292).
type VAPID struct {
	key     *ecdsa.PrivateKey
	public  string
	subject string // how the operator of a push service reaches ours
}

// NewVAPID takes a key of the curve P-256.
func NewVAPID(key *ecdsa.PrivateKey, subject string) (*VAPID, error) {
	public, err := key.PublicKey.ECDH()
	if err != nil || key.Curve != elliptic.P256() {
		return nil, errors.Join(errors.New("the key for Web Push is not of the curve P-256"), err)
	}
	return &VAPID{key, base64.RawURLEncoding.EncodeToString(public.Bytes()), subject}, nil
}

// Public is the key that browsers subscribe with, in base64url.
func (v *VAPID) Public() string { return v.public }

// authorization is the header for a push service (RFC 8292, section 3).
func (v *VAPID) authorization(endpoint *url.URL, now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"aud": endpoint.Scheme + "://" + endpoint.Host, "exp": now.Add(12 * time.Hour).Unix(), "sub": v.subject,
	})
	if err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(token))
	r, s, err := ecdsa.Sign(rand.Reader, v.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return "vapid t=" + token + "." + base64.RawURLEncoding.EncodeToString(signature) + ", k=" + v.public, nil
}

// subscription is what a browser gives of a subscription.
type subscription struct {
	key  *ecdh.PublicKey // p256dh
	auth []byte
}

func subscriptionOf(p store.Pusher) (subscription, error) {
	raw, err := unbase64(p.Key)
	if err != nil {
		return subscription{}, errors.New("the pushkey is not base64url")
	}
	key, err := ecdh.P256().NewPublicKey(raw)
	if err != nil {
		return subscription{}, errors.New("the pushkey is not a public key of the curve P-256")
	}
	s, _ := canonjson.GetString(p.Data, "auth")
	auth, err := unbase64(s)
	if err != nil || len(auth) != 16 {
		return subscription{}, errors.New("data.auth is not 16 bytes in base64url")
	}
	return subscription{key, auth}, nil
}

// unbase64 takes padding too, and both alphabets: clients differ.
func unbase64(s string) ([]byte, error) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	return base64.RawURLEncoding.DecodeString(s)
}

// maxPlain is what push services must take: 4096 bytes with head and tag
// (RFC 8291, section 4).
const maxPlain = 4096 - 86 - 17

// encrypt makes one record of aes128gcm (RFC 8188) for a subscription (RFC 8291).
func (s subscription) encrypt(plain []byte) ([]byte, error) {
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	shared, err := own.ECDH(s.key)
	if err != nil {
		return nil, err
	}
	public := own.PublicKey().Bytes()
	info := "WebPush: info\x00" + string(s.key.Bytes()) + string(public)
	ikm, err := hkdf.Key(sha256.New, shared, s.auth, info, 32)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint32(salt, 4096)
	out = append(append(out, byte(len(public))), public...)
	return gcm.Seal(out, nonce, append(plain, 2), nil), nil // 2 ends the last record
}

// sendWebPush hands a notification to the push service of a browser (RFC 8030).
func (e *Engine) sendWebPush(ctx context.Context, p store.Pusher, n notification) error {
	if e.VAPID == nil {
		return errRejected
	}
	s, err := subscriptionOf(p)
	if err != nil {
		return errRejected
	}
	if n.EventID == "" {
		return nil // browsers must show every message, and a badge is none
	}
	n.Devices = nil
	plain, err := json.Marshal(n)
	if err == nil && len(plain) > maxPlain {
		n.Content = nil
		plain, err = json.Marshal(n)
	}
	if err == nil && len(plain) > maxPlain {
		plain, err = json.Marshal(notification{EventID: n.EventID, RoomID: n.RoomID, Prio: n.Prio, Counts: n.Counts})
	}
	if err != nil {
		return err
	}
	body, err := s.encrypt(plain)
	if err != nil {
		return err
	}
	target, _ := canonjson.GetString(p.Data, "url")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	authorization, err := e.VAPID.authorization(req.URL, time.Now())
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Encoding", "aes128gcm")
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("TTL", fmt.Sprint(int(maxAge.Seconds())))
	req.Header.Set("Urgency", map[string]string{"high": "high"}[n.Prio])
	if n.Prio != "high" {
		req.Header.Set("Urgency", "normal")
	}
	_, status, err := e.do(req)
	switch {
	case err != nil:
		return err
	case status == http.StatusNotFound || status == http.StatusGone:
		return errRejected // the subscription has ended (RFC 8030, section 7.3)
	case status/100 != 2:
		return fmt.Errorf("the push service answered with status %d", status)
	}
	return nil
}
