package adminapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"hearth/api/httpx"
	"hearth/homeserver/fedclient"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) destinationRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "GET /federation/destinations", httpx.JSON(a.destinations)),
		admin(v1, "GET /federation/destinations/{destination}", httpx.JSON(a.destination)),
		admin(v1, "GET /federation/destinations/{destination}/rooms", httpx.JSON(a.destinationRooms)),
		admin(v1, "POST /federation/destinations/{destination}/reset_connection", httpx.JSON(a.resetConnection)),
	}
}

// destination is another server as an operator sees it.
type destination struct {
	Name          string `json:"destination"`
	RetryLast     int64  `json:"retry_last_ts"`  // ms; 0 for one that answers, as below
	RetryInterval int64  `json:"retry_interval"` // ms
	Failure       *int64 `json:"failure_ts"`     // ms; null for one that answers
	LastStream    *int64 `json:"last_successful_stream_ordering"`
}

func destinationOf(s fedclient.Standing) destination {
	d := destination{Name: string(s.Server)}
	if !s.Since.IsZero() {
		failure := s.Since.UnixMilli()
		d.RetryLast, d.RetryInterval, d.Failure = s.Asked.UnixMilli(), s.Again.Sub(s.Asked).Milliseconds(), &failure
	}
	return d
}

// peers are the servers that this one has talked to since it started.
func (a *API) peers() (all []destination) {
	if a.Peers == nil {
		return nil
	}
	for _, s := range a.Peers.Standings() {
		all = append(all, destinationOf(s))
	}
	return all
}

type destinationsRes struct {
	Destinations []destination `json:"destinations"`
	Total        int           `json:"total"`
	Next         string        `json:"next_token,omitempty"`
}

// destinationOrders are the orders of the list, by the names of Synapse.
var destinationOrders = map[string]func(a, b destination) int{
	"destination":                     func(a, b destination) int { return strings.Compare(a.Name, b.Name) },
	"retry_last_ts":                   func(a, b destination) int { return cmp.Compare(a.RetryLast, b.RetryLast) },
	"retry_interval":                  func(a, b destination) int { return cmp.Compare(a.RetryInterval, b.RetryInterval) },
	"failure_ts":                      func(a, b destination) int { return cmp.Compare(orZero(a.Failure), orZero(b.Failure)) },
	"last_successful_stream_ordering": func(a, b destination) int { return 0 },
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func (a *API) destinations(_ context.Context, r *http.Request, _ httpx.None) (res destinationsRes, err error) {
	q := r.URL.Query()
	from, err := httpx.IntQuery(r, "from", 0, 1<<31)
	if err != nil {
		return res, err
	}
	limit, err := httpx.IntQuery(r, "limit", 100, 1000)
	if err != nil {
		return res, err
	}
	order := destinationOrders[cmp.Or(q.Get("order_by"), "destination")]
	if order == nil {
		return res, mxerr.New(mxerr.InvalidParam, "Query parameter 'order_by' must be one of the columns")
	}
	all := slices.DeleteFunc(a.peers(), func(d destination) bool { return !strings.Contains(d.Name, strings.ToLower(q.Get("destination"))) })
	slices.SortStableFunc(all, order)
	switch q.Get("dir") {
	case "", "f":
	case "b":
		slices.Reverse(all)
	default:
		return res, mxerr.New(mxerr.InvalidParam, "Query parameter 'dir' must be 'b' or 'f'")
	}
	first := min(from, len(all))
	last := min(first+limit, len(all))
	res = destinationsRes{Destinations: append([]destination{}, all[first:last]...), Total: len(all)}
	if last < len(all) {
		res.Next = strconv.Itoa(last)
	}
	return res, nil
}

// find returns the server that a path names.
func (a *API) find(r *http.Request) (destination, error) {
	for _, d := range a.peers() {
		if d.Name == r.PathValue("destination") {
			return d, nil
		}
	}
	return destination{}, mxerr.New(mxerr.NotFound, "Unknown destination")
}

func (a *API) destination(_ context.Context, r *http.Request, _ httpx.None) (destination, error) {
	return a.find(r)
}

type destinationRoomsRes struct {
	Rooms []struct{} `json:"rooms"`
	Total int        `json:"total"`
}

// destinationRooms: people of different servers do not meet in rooms yet.
func (a *API) destinationRooms(_ context.Context, r *http.Request, _ httpx.None) (destinationRoomsRes, error) {
	_, err := a.find(r)
	return destinationRoomsRes{Rooms: []struct{}{}}, err
}

// resetConnection has a server asked again at once that did not answer.
func (a *API) resetConnection(_ context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	d, err := a.find(r)
	if err == nil && d.Failure == nil {
		err = bad("The retry timing does not need to be reset for this destination.")
	}
	if err == nil {
		a.Peers.Heard(mxid.ServerName(d.Name))
	}
	return httpx.None{}, err
}
