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

// Register opens an account.
func (h *Hearth) Register(t testing.TB, name string) *Client {
	t.Helper()
	c := &Client{URL: h.URL, http: h.http}
	var account struct {
		UserID string `json:"user_id"`
		Token  string `json:"access_token"`
	}
	err := c.Do(t.Context(), http.MethodPost, "/_matrix/client/v3/register", map[string]any{
		"username": name, "password": "password of " + name,
		"auth": map[string]string{"type": "m.login.dummy"},
	}, &account)
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	c.UserID, c.Token = account.UserID, account.Token
	return c
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
