package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"hearth/base/config"
	"hearth/matrix/mxerr"
	"hearth/server/control"
)

// registerTimeout is ample: hashing the password is the slowest part.
const registerTimeout = time.Minute

func (r *registration) send(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	url := strings.TrimRight(r.url, "/") + "/_synapse/admin/v1/register"
	var answer struct {
		Nonce string `json:"nonce"`
		Code  string `json:"errcode"`
		Error string `json:"error"`
	}
	status, err := exchange(ctx, http.MethodGet, url, nil, &answer)
	if r.own != "" && r.userType == "" && errors.Is(err, syscall.ECONNREFUSED) {
		return r.onData(ctx, e)
	}
	if err != nil {
		return err
	}
	if status.code != http.StatusOK {
		return failedWith(e, status, answer.Error)
	}
	fmt.Fprintln(e.stdout, "Sending registration request...")
	status, err = exchange(ctx, http.MethodPost, url, r.body(answer.Nonce), &answer)
	switch {
	case err != nil:
		return err
	case status.code != http.StatusOK && r.existsOK && answer.Code == "M_USER_IN_USE":
		fmt.Fprintln(e.stdout, "User already exists. Skipping.")
	case status.code != http.StatusOK:
		return failedWith(e, status, answer.Error)
	default:
		fmt.Fprintln(e.stdout, "Success!")
	}
	return nil
}

// onData makes the account as "hearth user add" does, for a server that is
// stopped or has no plain HTTP, in the words of send.
func (r *registration) onData(ctx context.Context, e *env) error {
	cfg, err := config.Load(r.own)
	if err != nil {
		return err
	}
	var refusal *mxerr.Error
	err = e.withAdmin(ctx, cfg, func(a control.Admin) error {
		fmt.Fprintln(e.stdout, "Sending registration request...")
		_, err := a.AddUser(ctx, r.user, r.password, r.admin, "")
		refusal, _ = errors.AsType[*mxerr.Error](err)
		return err
	})
	switch {
	case refusal != nil && r.existsOK && refusal.Code == mxerr.UserInUse:
		fmt.Fprintln(e.stdout, "User already exists. Skipping.")
	case refusal != nil:
		status := refusal.HTTPStatus()
		return failedWith(e, httpStatus{status, fmt.Sprintf("%d %s", status, http.StatusText(status))}, refusal.Text)
	case err != nil:
		return err
	default:
		fmt.Fprintln(e.stdout, "Success!")
	}
	return nil
}

func (r *registration) body(nonce string) any {
	b := map[string]any{
		"nonce": nonce, "username": r.user, "password": r.password, "admin": r.admin, "user_type": nil,
		"mac": registrationMAC(r.secret, nonce, r.user, r.password, r.admin, r.userType),
	}
	if r.userType != "" {
		b["user_type"] = r.userType
	}
	return b
}

// registrationMAC proves the shared secret: HMAC-SHA1 in hex over the fields with
// NUL between them.
func registrationMAC(secret, nonce, user, password string, admin bool, userType string) string {
	role := "notadmin"
	if admin {
		role = "admin"
	}
	fields := []string{nonce, user, password, role}
	if userType != "" {
		fields = append(fields, userType)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join(fields, "\x00")))
	return hex.EncodeToString(mac.Sum(nil))
}

type httpStatus struct {
	code int
	text string // "400 Bad Request"
}

// exchange sends body as JSON and reads the answer into res. Answers that are
// not JSON leave res as it is.
func exchange(ctx context.Context, method, url string, body, res any) (httpStatus, error) {
	var data bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&data).Encode(body); err != nil {
			return httpStatus{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, &data)
	if err != nil {
		return httpStatus{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return httpStatus{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return httpStatus{}, err
	}
	_ = json.Unmarshal(text, res) // a proxy's HTML says nothing that the status does not
	return httpStatus{answer.StatusCode, answer.Status}, nil
}

func failedWith(e *env, status httpStatus, text string) error {
	fmt.Fprintf(e.stdout, "ERROR! Received %s\n", status.text)
	if status.code < 500 && text != "" {
		fmt.Fprintln(e.stdout, text)
	}
	return errSilent
}
