package fedclient

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
	"hearth/matrix/signing"
)

const (
	// maxSignatures bounds the signatures of a request that are looked at.
	maxSignatures = 4
	// ownKeysHoldFor is for how long others may take this server's keys for valid.
	ownKeysHoldFor = 24 * time.Hour
)

// OwnKeys is what this server tells of its keys.
func (c *Client) OwnKeys() ([]byte, error) {
	list, err := canonjson.Marshal(map[string]any{
		"server_name": c.cfg.Server,
		"verify_keys": map[string]any{
			c.cfg.KeyID: map[string]string{"key": signing.EncodeBase64(c.cfg.Key.Public().(ed25519.PublicKey))},
		},
		"old_verify_keys": struct{}{},
		"valid_until_ts":  time.Now().Add(ownKeysHoldFor).UnixMilli(),
	})
	if err != nil {
		return nil, err
	}
	return signing.Sign(list, string(c.cfg.Server), c.cfg.KeyID, c.cfg.Key)
}

// Authenticate finds out which server made a request: the one that has signed it
// (server-server-api/#request-authentication). headers are the Authorization
// headers; content is nil without a body. The error is M_UNAUTHORIZED.
func (c *Client) Authenticate(ctx context.Context, method, uri string, headers []string, content []byte) (mxid.ServerName, error) {
	failed := errors.New("it has no signature")
	for i, header := range headers {
		if i == maxSignatures {
			break
		}
		origin, err := c.authenticate(ctx, method, uri, header, content)
		if err == nil {
			c.Heard(origin)
			return origin, nil
		}
		failed = err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", &mxerr.Error{Code: mxerr.Unauthorized, Text: "The request is not signed by another server: " + failed.Error()}
}

func (c *Client) authenticate(ctx context.Context, method, uri, header string, content []byte) (mxid.ServerName, error) {
	a, err := signing.ParseAuthorization(header)
	if err != nil {
		return "", err
	}
	origin, err := mxid.ParseServerName(a.Origin)
	switch {
	case err != nil:
		return "", errors.New("its origin is no server name")
	case origin == c.cfg.Server:
		return "", errors.New("its origin is this server")
	case a.Destination != "" && a.Destination != string(c.cfg.Server):
		return "", errors.New("it is for another server")
	}
	pub, err := c.keys.key(ctx, origin, a.KeyID)
	if err != nil {
		c.cfg.Log.DebugContext(ctx, "the keys of another server cannot be had", "server", origin, "err", err)
		return "", fmt.Errorf("the keys of %s cannot be had", origin)
	}
	r := signing.Request{Method: method, URI: uri, Origin: a.Origin, Destination: string(c.cfg.Server), Content: content}
	return origin, r.Verify(a, pub)
}
