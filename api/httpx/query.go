package httpx

import (
	"net/http"
	"net/url"
	"strconv"

	"hearth/matrix/mxerr"
)

// Query is the query of a request. It is parsed once, and must not be changed.
func Query(r *http.Request) url.Values {
	c, ok := r.Context().Value(callKey{}).(*call)
	if !ok {
		return r.URL.Query()
	}
	if c.query == nil {
		c.query = r.URL.Query()
	}
	return c.query
}

// IntQuery reads an integer query parameter; def if it is absent. Values below
// 0 and above most are errors and most respectively, so that a hostile limit
// costs nothing.
func IntQuery(r *http.Request, name string, def, most int) (int, error) {
	s := Query(r).Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, mxerr.New(mxerr.InvalidParam, "%s must be a whole number, 0 or more", name)
	}
	return int(min(n, int64(most))), nil
}

// BoolQuery reads "true" or "false"; def if it is absent.
func BoolQuery(r *http.Request, name string, def bool) (bool, error) {
	switch Query(r).Get(name) {
	case "":
		return def, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return def, mxerr.New(mxerr.InvalidParam, "%s must be true or false", name)
}
