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

	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

const (
	sendTimeout = 30 * time.Second
	// maxAnswer bounds what a service answers, in bytes.
	maxAnswer = 1 << 20
	// maxAsking bounds the questions to one service at a time, since strangers can
	// cause them. Who comes when it is busy is told that there is nothing.
	maxAsking = 64
	// legacyFor is how long a service is told by the paths of old before the newer
	// ones are tried again.
	legacyFor = time.Hour
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

// unknown reports whether err is a service's answer that it does not know a path: it
// may be of the time before paths had a version.
func unknown(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	if !ok {
		return false
	}
	switch e.status {
	case http.StatusNotFound:
		var said struct {
			Code mxerr.Code `json:"errcode"`
		}
		return json.Unmarshal(e.body, &said) != nil || said.Code == "" || said.Code == mxerr.Unrecognized
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// call makes a request to a service and returns the body of its answer. A service
// that does not know the path is asked by the one of old.
func (s *Service) call(ctx context.Context, method, path string, body []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	versioned, old := s.URL+"/_matrix/app/v1"+path, s.legacyURL(path)
	telling := strings.HasPrefix(path, "/transactions/")
	if telling && time.Now().UnixMilli() < s.legacy.Load() {
		answer, err := s.do(ctx, method, old, body)
		if !unknown(err) {
			return answer, err
		}
		s.legacy.Store(0)
	}
	answer, err := s.do(ctx, method, versioned, body)
	if !unknown(err) || path == "/ping" { // which is younger than the change of paths
		return answer, err
	}
	answer, oldErr := s.do(ctx, method, old, body)
	if unknown(oldErr) {
		return nil, err
	}
	if telling && oldErr == nil {
		s.legacy.Store(time.Now().Add(legacyFor).UnixMilli())
	}
	return answer, oldErr
}

// legacyURL: application-service-api/#legacy-routes. Services of that time look for
// the token in the query.
func (s *Service) legacyURL(path string) string {
	if strings.HasPrefix(path, "/thirdparty/") {
		path = "/_matrix/app/unstable" + path
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return s.URL + path + sep + "access_token=" + url.QueryEscape(s.HSToken)
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

// question asks a service something that somebody waits for.
func (s *Service) question(ctx context.Context, path string) ([]byte, error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	default:
		return nil, errBusy
	}
	answer, err := s.call(ctx, http.MethodGet, path, nil, s.e.AskTimeout)
	if _, refused := errors.AsType[*statusError](err); err != nil && !refused {
		s.e.Log.WarnContext(ctx, "an application service did not answer", "id", s.ID, "err", err)
	}
	return answer, err
}

var errBusy = errors.New("it has too many questions to answer")

// WantUser gives services that a user belongs to the chance to make it, if nobody
// has yet (application-service-api/#get_matrixappv1usersuserid). by is the id of the
// service that looks for the user, which is not asked what it asks; "" for people.
func (e *Engine) WantUser(ctx context.Context, by, user string) {
	if !e.Any() || mxid.ServerOf(user) != e.Server {
		return
	}
	for _, s := range e.services {
		if s.ID == by || s.URL == "" || !within(s.Users, user) {
			continue
		}
		if _, err := e.Accounts.User(ctx, user); err == nil || mxerr.From(err).Code != mxerr.NotFound {
			return
		}
		if _, err := s.question(ctx, "/users/"+url.PathEscape(user)); err == nil {
			return
		}
	}
}

// WantAlias gives services that an alias belongs to the chance to make the room,
// and reports whether one says that it has
// (application-service-api/#get_matrixappv1roomsroomalias). by is as with WantUser.
func (e *Engine) WantAlias(ctx context.Context, by, alias string) bool {
	return slices.ContainsFunc(e.all(), func(s *Service) bool {
		if s.ID == by || s.URL == "" || !within(s.Aliases, alias) || mxid.ServerOf(alias) != e.Server {
			return false
		}
		_, err := s.question(ctx, "/rooms/"+url.PathEscape(alias))
		return err == nil
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
	_, err = s.call(ctx, http.MethodPost, "/ping", body, s.e.AskTimeout)
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
