package appservice

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
	"slices"
	"strings"
	"time"

	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	sendTimeout = 30 * time.Second
	// askTimeout is how long somebody waits who asked for a user or an alias.
	askTimeout = 10 * time.Second
	// maxAnswer bounds what a service answers, in bytes.
	maxAnswer = 1 << 20
)

// newClient makes a client for services. The operator names their addresses, so
// they may be private ones.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// statusError is an answer of a service that is not a success.
type statusError struct {
	status int
	body   []byte
}

func (e *statusError) Error() string { return fmt.Sprintf("it answers %d: %.200q", e.status, e.body) }

// unknown reports whether the service does not know the path: it may be of the
// time before paths had a version (application-service-api/#legacy-routes).
func (e *statusError) unknown() bool {
	code, ok := canonjson.GetString(e.body, "errcode")
	return e.status == http.StatusMethodNotAllowed || e.status == http.StatusNotFound && (!ok || code == string(mxerr.Unrecognized))
}

// call makes a request to a service and returns the body of its answer.
func (s *Service) call(ctx context.Context, method, path string, body []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := s.do(ctx, method, s.URL+"/_matrix/app/v1"+path, body)
	var refused *statusError
	if !errors.As(err, &refused) || !refused.unknown() || strings.HasPrefix(path, "/ping") {
		return answer, err
	}
	old := s.URL + path
	if strings.HasPrefix(path, "/thirdparty/") {
		old = s.URL + "/_matrix/app/unstable" + path
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	answer, err2 := s.do(ctx, method, old+sep+"access_token="+url.QueryEscape(s.HSToken), body)
	if err2 != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Service) do(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.HSToken)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.e.client.Do(req)
	if err != nil {
		return nil, hideToken(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, &statusError{res.StatusCode, answer}
	}
	return answer, nil
}

// hideToken keeps the address, which may have the token in it, out of logs.
func hideToken(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// ask reports whether a service says yes.
func (s *Service) ask(ctx context.Context, path string) bool {
	if s.URL == "" {
		return false
	}
	_, err := s.call(ctx, http.MethodGet, path, nil, askTimeout)
	var refused *statusError
	if err != nil && !errors.As(err, &refused) {
		s.e.Log.WarnContext(ctx, "an application service did not answer", "id", s.ID, "err", err)
	}
	return err == nil
}

// WantUser gives services that a user belongs to the chance to make it, if nobody
// has yet (application-service-api/#get_matrixappv1usersuserid).
func (e *Engine) WantUser(ctx context.Context, user string) {
	u := mxid.UserID(user)
	if !e.Any() || u.Server() != e.Server {
		return
	}
	for _, s := range e.services {
		if !within(s.Users, user) {
			continue
		}
		if _, err := e.Accounts.User(ctx, user); err == nil || mxerr.From(err).Code != mxerr.NotFound {
			return
		}
		if s.ask(ctx, "/users/"+url.PathEscape(user)) {
			return
		}
	}
}

// WantAlias gives services that an alias belongs to the chance to make the room,
// and reports whether one says that it has
// (application-service-api/#get_matrixappv1roomsroomalias).
func (e *Engine) WantAlias(ctx context.Context, alias string) bool {
	return slices.ContainsFunc(e.all(), func(s *Service) bool {
		return within(s.Aliases, alias) && s.ask(ctx, "/rooms/"+url.PathEscape(alias))
	})
}

// Ping asks a service whether it is there and returns how long that took
// (client-server-api/#post_matrixclientv1appserviceappserviceidping). What the
// service was not told before, it is told now.
//
// Errors: M_URL_NOT_SET, M_CONNECTION_TIMEOUT, M_CONNECTION_FAILED, M_BAD_STATUS
// with status and body.
func (s *Service) Ping(ctx context.Context, txn string) (time.Duration, error) {
	if s.URL == "" {
		return 0, mxerr.New("M_URL_NOT_SET", "The application service has no url in its registration").WithStatus(http.StatusBadRequest)
	}
	body, err := json.Marshal(map[string]string{"transaction_id": txn})
	if txn == "" {
		body = []byte("{}")
	}
	if err != nil {
		return 0, err
	}
	start := time.Now()
	_, err = s.call(ctx, http.MethodPost, "/ping", body, askTimeout)
	took := time.Since(start)
	var refused *statusError
	var slow net.Error
	switch {
	case err == nil:
		select {
		case s.now <- struct{}{}:
		default:
		}
		return took, nil
	case errors.As(err, &refused):
		e := mxerr.New("M_BAD_STATUS", "The application service answered with %d", refused.status).WithStatus(http.StatusBadGateway)
		e.Fields = map[string]any{"status": refused.status, "body": string(refused.body)}
		return 0, e
	case errors.As(err, &slow) && slow.Timeout() || errors.Is(err, context.DeadlineExceeded):
		return 0, mxerr.New("M_CONNECTION_TIMEOUT", "The application service did not answer in time").WithStatus(http.StatusGatewayTimeout)
	}
	return 0, mxerr.New("M_CONNECTION_FAILED", "The application service cannot be reached").WithStatus(http.StatusBadGateway)
}

// Protocols returns what services say of the networks that they bridge, by
// protocol; of one if protocol is not "".
func (e *Engine) Protocols(ctx context.Context, protocol string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, s := range e.all() {
		for _, p := range s.Protocols {
			if protocol != "" && p != protocol || s.URL == "" {
				continue
			}
			text, err := s.call(ctx, http.MethodGet, "/thirdparty/protocol/"+url.PathEscape(p), nil, askTimeout)
			if err != nil || !canonjson.IsObject(text) || canonjson.Valid(text, canonjson.Options{Numbers: canonjson.Free}) != nil {
				continue
			}
			out[p] = merge(out[p], text, s.ID)
		}
	}
	return out
}

// merge adds the instances of a service to what another said of the same
// protocol. Each instance gets the id by which its rooms are found.
func merge(have, text json.RawMessage, service string) json.RawMessage {
	var p, old struct {
		Instances []map[string]any `json:"instances"`
	}
	if json.Unmarshal(text, &p) != nil {
		return have
	}
	for _, in := range p.Instances {
		if network, ok := in["network_id"].(string); ok {
			in["instance_id"] = service + "|" + network
		}
	}
	if have != nil {
		if json.Unmarshal(have, &old) == nil {
			p.Instances = append(old.Instances, p.Instances...)
		}
		text = have
	}
	if p.Instances == nil {
		p.Instances = []map[string]any{}
	}
	list, err := json.Marshal(p.Instances)
	if err != nil {
		return have
	}
	return canonjson.With(nil, text, "instances", list)
}

// ThirdParty asks services for users or locations of other networks, what being
// "user" or "location". With a protocol, those that bridge it are asked for what
// fits the fields; else all are asked for what a Matrix user or alias stands for.
func (e *Engine) ThirdParty(ctx context.Context, what, protocol string, fields url.Values) []json.RawMessage {
	out := []json.RawMessage{}
	path := "/thirdparty/" + what
	if protocol != "" {
		path += "/" + url.PathEscape(protocol)
	}
	if len(fields) > 0 {
		path += "?" + fields.Encode()
	}
	for _, s := range e.all() {
		if s.URL == "" || protocol != "" && !slices.Contains(s.Protocols, protocol) {
			continue
		}
		text, err := s.call(ctx, http.MethodGet, path, nil, askTimeout)
		var list []json.RawMessage
		if err != nil || json.Unmarshal(text, &list) != nil {
			continue
		}
		out = append(out, list...)
	}
	return out
}
