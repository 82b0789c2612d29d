// Package captcha asks a captcha's maker whether somebody has solved it.
package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// patience is how long somebody waits who registers.
	patience = 10 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 10
	// maxResponse bounds what a client says it got for the solved captcha, in bytes.
	maxResponse = 16 << 10
)

// ErrWrong means that the captcha has not been solved.
var ErrWrong = errors.New("the captcha has not been solved")

// Checker is a service that speaks Google's siteverify protocol
// (https://developers.google.com/recaptcha/docs/verify).
type Checker struct {
	url, secret string
	client      *http.Client
}

// New returns a Checker at an address. The operator has named it, so that it may be
// in the house; it may not lead elsewhere.
func New(address, secret string) *Checker {
	return &Checker{address, secret, &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Check returns nil if response is what the person at the IP address addr got for
// solving a captcha, ErrWrong if it is not, and another error if nobody can tell.
func (c *Checker) Check(ctx context.Context, response, addr string) error {
	if response == "" || len(response) > maxResponse {
		return ErrWrong
	}
	form := url.Values{"secret": {c.secret}, "response": {response}}
	if addr != "" {
		form.Set("remoteip", addr)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	var verdict struct {
		Success bool     `json:"success"`
		Errors  []string `json:"error-codes"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&verdict); err != nil {
		return err
	}
	for _, code := range verdict.Errors {
		if strings.HasSuffix(code, "-input-secret") {
			return errors.New("it does not know the private key")
		}
	}
	if !verdict.Success {
		return ErrWrong
	}
	return nil
}
