package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// Client is one user's plain HTTP client, for tests that want to see each
// request. It knows no more of Matrix than how to open an account.
type Client struct {
	URL, UserID, Token string

	http *http.Client
}

// StatusError is an answer that is not a success.
type StatusError struct {
	Status  int
	Code    string `json:"errcode"`
	Message string `json:"error"`
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// NewClient returns a client without an account.
func NewClient(url string, http *http.Client) *Client { return &Client{URL: url, http: http} }

// Register opens an account.
func (h *Hearth) Register(t testing.TB, name string) *Client {
	t.Helper()
	c := NewClient(h.URL, h.http)
	if err := c.Register(t.Context(), "user", name); err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	return c
}

// Register opens an account for c, of a "user" or a "guest".
func (c *Client) Register(ctx context.Context, kind, name string) error {
	body := map[string]any{"auth": map[string]string{"type": "m.login.dummy"}}
	if kind == "user" {
		body["username"], body["password"] = name, Password(name)
	}
	return c.signIn(ctx, "/register?kind="+kind, body)
}

// Login signs in to an account again.
func (c *Client) Login(ctx context.Context, name string) error {
	return c.signIn(ctx, "/login", map[string]any{
		"type": "m.login.password", "password": Password(name),
		"identifier": map[string]string{"type": "m.id.user", "user": name},
	})
}

// Password is the password of a user that Register made.
func Password(name string) string { return "password of " + name }

func (c *Client) signIn(ctx context.Context, path string, body any) error {
	var account struct {
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	c.Token = ""
	if err := c.Do(ctx, http.MethodPost, "/_matrix/client/v3"+path, body, &account); err != nil {
		return err
	}
	c.UserID, c.Token = account.UserID, account.Token
	return nil
}

// Do makes a request with a JSON body (nil for none) and reads the answer into
// answer, if that is not nil. An answer that is not a success is a *StatusError;
// any other error means that there was no whole answer.
func (c *Client) Do(ctx context.Context, method, path string, body, answer any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, &text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		refusal := &StatusError{Status: res.StatusCode}
		if err := json.NewDecoder(res.Body).Decode(refusal); err != nil {
			refusal.Message = "(no JSON) " + err.Error()
		}
		return refusal
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(answer)
}
