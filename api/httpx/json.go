package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"hearth/base/blob"
	"hearth/base/db"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
)

// Raw is a response that is JSON already.
type Raw []byte

// None is the request of routes without a body, and the empty object that
// many answer.
type None struct{}

// JSON makes a handler of fn. Req is decoded from the body, whatever its
// Content-Type; Res is written as 200 with a JSON body. An error is written as
// mxerr.From(err) says.
func JSON[Req, Res any](fn func(context.Context, *http.Request, Req) (Res, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := decode(r, &req); err != nil {
			Fail(w, r, err)
			return
		}
		res, err := fn(r.Context(), r, req)
		if err != nil {
			Fail(w, r, err)
			return
		}
		Answer(w, r, http.StatusOK, res)
	})
}

// Answer writes v as JSON with the given status.
func Answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, ok := v.(Raw)
	if !ok {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			Fail(w, r, err)
			return
		}
		body = b.Bytes()
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	hurryReader(w, len(body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone away, which is its right
}

// Body reads the whole body of a request, within its route's limit. It must be
// one JSON object; no body counts as {}: clients omit it on /logout, /join and
// others, and the specification lets them. It comes out in canonical form, so that
// whoever takes it apart with canonjson finds what is in it, however it was written.
func Body(r *http.Request) (json.RawMessage, error) {
	body, err := content(r)
	if err == nil && body == nil {
		body = json.RawMessage("{}")
	}
	return body, err
}

// content is Body for requests where no body is something else than {}.
func content(r *http.Request) (json.RawMessage, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	body, err = canonical(body)
	if err != nil {
		return nil, err
	}
	if body[0] != '{' {
		return nil, mxerr.New(mxerr.BadJSON, "The body must be a JSON object")
	}
	return body, nil
}

func decode(r *http.Request, v any) error {
	if _, ok := v.(*None); ok && r.Method == http.MethodGet {
		return nil // a GET may carry a body that means nothing
	}
	body, err := Body(r)
	if err != nil {
		return err
	}
	return Decode(body, v)
}

// Decode unmarshals a body, with errors that a client's author understands.
func Decode(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return mxerr.New(mxerr.BadJSON, "The field %q must not be a %s", te.Field, te.Value)
	}
	if err != nil {
		return &mxerr.Error{Code: mxerr.BadJSON, Text: "The body has a wrong value", Cause: err}
	}
	return nil
}

// Fail writes err as the router that serves r does.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	if c, ok := r.Context().Value(callKey{}).(*call); ok {
		c.router.Fail(w, r, err)
		return
	}
	write(w, mxerr.From(err))
}

// Fail writes err.
func (rt *Router) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody listens
	}
	write(w, rt.explain(r.Context(), r.Pattern, err))
}

// explain turns err into what a client is told, and logs it. Only failures of ours
// are logged as errors.
func (rt *Router) explain(ctx context.Context, pattern string, err error) *mxerr.Error {
	e, log := mxerr.From(err), rt.cfg.Log
	switch {
	case errors.Is(err, db.ErrText):
		return mxerr.New(mxerr.InvalidParam, "Names must be UTF-8 without NUL characters")
	case errors.Is(err, db.ErrFull), errors.Is(err, blob.ErrFull):
		log.ErrorContext(ctx, "the disk is full", "route", pattern, "err", err)
		return &mxerr.Error{Code: mxerr.Unknown, Text: "The server's disk is full: nothing was stored", Status: http.StatusInsufficientStorage}
	case errors.Is(err, db.ErrAway):
		log.ErrorContext(ctx, "the database is away", "route", pattern, "err", err)
		return &mxerr.Error{Code: mxerr.Unknown, Text: "The server cannot reach its database: try again soon", Status: http.StatusServiceUnavailable}
	case errors.Is(err, blob.ErrAway):
		log.ErrorContext(ctx, "the place for files is away", "route", pattern, "err", err)
		return &mxerr.Error{Code: mxerr.Unknown, Text: "The server cannot reach its files: try again soon", Status: http.StatusServiceUnavailable}
	case e.HTTPStatus() == http.StatusBadGateway, e.HTTPStatus() == http.StatusGatewayTimeout:
		// What another server does not do is nothing for the operator of this one.
		log.DebugContext(ctx, "another server did not help", "route", pattern, "err", err)
	case e.HTTPStatus() >= http.StatusInternalServerError:
		log.ErrorContext(ctx, "request failed", "route", pattern, "err", err)
	default:
		log.LogAttrs(ctx, slog.LevelDebug, "request refused",
			slog.String("route", pattern), slog.String("errcode", string(e.Code)), slog.String("error", e.Text))
	}
	return e
}

func write(w http.ResponseWriter, e *mxerr.Error) {
	body := map[string]any{"errcode": e.Code, "error": e.Text}
	for k, v := range e.Fields {
		body[k] = v
	}
	if ms, ok := e.Fields["retry_after_ms"].(int64); ok {
		w.Header().Set("Retry-After", strconv.FormatInt((ms+999)/1000, 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.HTTPStatus())
	_ = json.NewEncoder(w).Encode(body)
}

// canonical refuses what Go's decoder would let pass: invalid UTF-8, duplicate
// keys, and nesting that costs more to walk than it can be worth.
func canonical(body []byte) ([]byte, error) {
	out, err := canonjson.Canonical(make([]byte, 0, len(body)), body, canonjson.Options{Numbers: canonjson.Free})
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, canonjson.ErrDuplicate):
		return nil, mxerr.New(mxerr.BadJSON, "The body has the same key twice in one object")
	case errors.Is(err, canonjson.ErrDepth):
		return nil, mxerr.New(mxerr.BadJSON, "The body is nested too deeply")
	}
	return nil, &mxerr.Error{Code: mxerr.NotJSON, Text: "The body is not JSON", Cause: err}
}
