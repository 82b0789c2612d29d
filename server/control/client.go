package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"hearth/matrix/mxerr"
)

// maxAnswer bounds what a client reads: a page of users.
const maxAnswer = 16 << 20

// Client is an Admin in another process. Close it after use.
type Client struct{ http http.Client }

var _ Admin = (*Client)(nil)

// Dial connects to the server that listens on the socket at path. The error
// wraps syscall.ENOENT or ECONNREFUSED when there is none.
func Dial(path string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialSocket(ctx, path)
	}
	probe, err := dial(context.Background(), "", "")
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	probe.Close()
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// AddUser is Admin's.
func (c *Client) AddUser(ctx context.Context, localpart, password string, admin bool, displayName string) (string, error) {
	var res addUserRes
	err := c.call(ctx, "POST", "/users", addUserReq{localpart, password, admin, displayName}, &res)
	return res.UserID, err
}

// Users is Admin's.
func (c *Client) Users(ctx context.Context, from string, limit int) ([]User, error) {
	var res usersRes
	q := url.Values{"from": {from}, "limit": {strconv.Itoa(limit)}}
	err := c.call(ctx, "GET", "/users?"+q.Encode(), nil, &res)
	return res.Users, err
}

// SetPassword is Admin's.
func (c *Client) SetPassword(ctx context.Context, user, password string, logoutDevices bool) error {
	return c.call(ctx, "POST", "/users/"+url.PathEscape(user)+"/password", passwordReq{password, logoutDevices}, nil)
}

// Deactivate is Admin's.
func (c *Client) Deactivate(ctx context.Context, user string, erase bool) error {
	return c.call(ctx, "POST", "/users/"+url.PathEscape(user)+"/deactivate", deactivateReq{erase}, nil)
}

// CreateToken is Admin's.
func (c *Client) CreateToken(ctx context.Context, t RegistrationToken) (RegistrationToken, error) {
	var res RegistrationToken
	err := c.call(ctx, "POST", "/tokens", t, &res)
	return res, err
}

// Tokens is Admin's.
func (c *Client) Tokens(ctx context.Context) ([]RegistrationToken, error) {
	var res tokensRes
	err := c.call(ctx, "GET", "/tokens", nil, &res)
	return res.Tokens, err
}

// RevokeToken is Admin's.
func (c *Client) RevokeToken(ctx context.Context, token string) error {
	return c.call(ctx, "DELETE", "/tokens/"+url.PathEscape(token), nil, nil)
}

// call sends body as JSON and reads the answer into res. A refusal comes back
// as the *mxerr.Error that the server's Admin returned.
func (c *Client) call(ctx context.Context, method, path string, body, res any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		data = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://hearth"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("control socket: %w", errors.Unwrap(err))
	}
	defer answer.Body.Close()
	data, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return refusal(answer, data)
	}
	if res == nil {
		return nil
	}
	return json.Unmarshal(data, res)
}

func refusal(answer *http.Response, data []byte) error {
	var e struct {
		Code mxerr.Code `json:"errcode"`
		Text string     `json:"error"`
	}
	if err := json.Unmarshal(data, &e); err != nil || e.Code == "" {
		return fmt.Errorf("control socket: the server answered %s", answer.Status)
	}
	return &mxerr.Error{Code: e.Code, Text: e.Text, Status: answer.StatusCode}
}
