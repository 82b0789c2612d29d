package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"hearth/api/httpx"
	"hearth/base/store"
	"hearth/homeserver/notice"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

func (a *API) noticeRoutes() []httpx.Route {
	return []httpx.Route{
		admin(v1, "POST /send_server_notice", httpx.JSON(a.sendNotice)),
		admin(v1, "PUT /send_server_notice/{txnId}", httpx.JSON(a.sendNotice)),
		admin(v1, "GET /event_reports", httpx.JSON(a.eventReports)),
		admin(v1, "GET /event_reports/{reportId}", httpx.JSON(a.eventReport)),
		admin(v1, "DELETE /event_reports/{reportId}", httpx.JSON(a.deleteEventReport)),
		admin(v1, "GET /user_reports", httpx.JSON(a.userReports)),
		admin(v1, "GET /user_reports/{reportId}", httpx.JSON(a.userReport)),
		admin(v1, "DELETE /user_reports/{reportId}", httpx.JSON(a.deleteUserReport)),
	}
}

type noticeReq struct {
	User     string          `json:"user_id"`
	Content  json.RawMessage `json:"content"`
	Type     string          `json:"type"`
	StateKey *string         `json:"state_key"`
}

type eventIDRes struct {
	EventID string `json:"event_id"`
}

func (a *API) sendNotice(ctx context.Context, r *http.Request, req noticeReq) (eventIDRes, error) {
	if req.User == "" || len(req.Content) == 0 {
		return eventIDRes{}, mxerr.New(mxerr.MissingParam, "Missing params: ['user_id', 'content']")
	}
	if !canonjson.IsObject(req.Content) {
		return eventIDRes{}, mxerr.New(mxerr.BadJSON, "content must be an object")
	}
	user, err := mxid.ParseUserID(req.User)
	if err != nil {
		return eventIDRes{}, err
	}
	if user.Server() != a.Engine.ServerName {
		return eventIDRes{}, bad("Server notices can only be sent to local users")
	}
	u, err := a.Engine.User(ctx, string(user))
	if err != nil {
		return eventIDRes{}, err
	}
	if req.Type == "" {
		req.Type = "m.room.message"
	}
	id, err := a.Notices.Send(ctx, notice.Notice{
		User: string(u.ID), Type: req.Type, StateKey: req.StateKey, Content: req.Content, Admin: httpx.Who(ctx).User, TxnID: r.PathValue("txnId"),
	})
	return eventIDRes{id}, err
}

// reportPage reads what of the reports is asked for.
func reportPage(r *http.Request, kind string) (f store.ReportFilter, err error) {
	q := r.URL.Query()
	f = store.ReportFilter{Kind: kind, Reporter: q.Get("user_id"), RoomID: q.Get("room_id"), Backward: true}
	if err = direction(r, &f.Backward); err != nil {
		return f, err
	}
	if kind == "event" {
		f.Target = q.Get("event_sender_user_id")
	} else {
		f.Target, f.Reporter = q.Get("target_user_id"), q.Get("user_id")
	}
	if f.From, err = httpx.IntQuery(r, "from", 0, 1<<30); err == nil {
		f.Limit, err = httpx.IntQuery(r, "limit", 100, 1000)
	}
	return f, err
}

type eventReport struct {
	ID             int64           `json:"id"`
	ReceivedTS     int64           `json:"received_ts"`
	RoomID         string          `json:"room_id"`
	Name           *string         `json:"name"`
	EventID        string          `json:"event_id"`
	UserID         string          `json:"user_id"`
	Reason         *string         `json:"reason"`
	Score          *int64          `json:"score"`
	Sender         string          `json:"sender"`
	CanonicalAlias *string         `json:"canonical_alias"`
	Event          json.RawMessage `json:"event_json,omitempty"`
}

func (a *API) eventReportOf(ctx context.Context, r store.Report) eventReport {
	out := eventReport{
		ID: r.ID, ReceivedTS: r.At, RoomID: r.RoomID, EventID: r.EventID, UserID: r.Reporter, Reason: orNull(r.Reason), Score: r.Score, Sender: r.Target,
	}
	if d, err := a.Steward.Details(ctx, r.RoomID); err == nil && d != nil { // the room may be gone
		out.Name, out.CanonicalAlias = d.Name, d.CanonicalAlias
	}
	return out
}

type eventReportsRes struct {
	Reports   []eventReport `json:"event_reports"`
	Total     int64         `json:"total"`
	NextToken *int          `json:"next_token,omitempty"`
}

func (a *API) eventReports(ctx context.Context, r *http.Request, _ httpx.None) (eventReportsRes, error) {
	f, err := reportPage(r, "event")
	if err != nil {
		return eventReportsRes{}, err
	}
	page, total, err := a.Notices.Reports(ctx, f)
	res := eventReportsRes{Reports: []eventReport{}, Total: total, NextToken: nextToken(f, total)}
	for _, one := range page {
		res.Reports = append(res.Reports, a.eventReportOf(ctx, one))
	}
	return res, err
}

func nextToken(f store.ReportFilter, total int64) *int {
	if next := f.From + f.Limit; f.Limit > 0 && int64(next) < total {
		return &next
	}
	return nil
}

// reportID reads the number of a report from the path.
func reportID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("reportId"), 10, 64)
	if err != nil || id < 0 {
		return 0, mxerr.New(mxerr.InvalidParam, "The report_id parameter must be a string representing a positive integer.")
	}
	return id, nil
}

func (a *API) report(ctx context.Context, r *http.Request, kind string) (store.Report, error) {
	id, err := reportID(r)
	if err != nil {
		return store.Report{}, err
	}
	return a.Notices.ReportByID(ctx, kind, id)
}

func (a *API) eventReport(ctx context.Context, r *http.Request, _ httpx.None) (eventReport, error) {
	one, err := a.report(ctx, r, "event")
	if err != nil {
		return eventReport{}, err
	}
	out := a.eventReportOf(ctx, one)
	if ev, err := a.Rooms.EventByID(ctx, one.EventID); err == nil { // it may be gone
		out.Event = json.RawMessage(ev.JSON)
	}
	return out, nil
}

func (a *API) deleteReport(ctx context.Context, r *http.Request, kind string) (httpx.None, error) {
	id, err := reportID(r)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, a.Notices.DeleteReport(ctx, kind, id)
}

func (a *API) deleteEventReport(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return a.deleteReport(ctx, r, "event")
}

type userReport struct {
	ID         int64   `json:"id"`
	ReceivedTS int64   `json:"received_ts"`
	Target     string  `json:"target_user_id"`
	UserID     string  `json:"user_id"`
	Reason     *string `json:"reason"`
}

func userReportOf(r store.Report) userReport {
	return userReport{r.ID, r.At, r.Target, r.Reporter, orNull(r.Reason)}
}

type userReportsRes struct {
	Reports   []userReport `json:"user_reports"`
	Total     int64        `json:"total"`
	NextToken *int         `json:"next_token,omitempty"`
}

func (a *API) userReports(ctx context.Context, r *http.Request, _ httpx.None) (userReportsRes, error) {
	f, err := reportPage(r, "user")
	if err != nil {
		return userReportsRes{}, err
	}
	page, total, err := a.Notices.Reports(ctx, f)
	res := userReportsRes{Reports: []userReport{}, Total: total, NextToken: nextToken(f, total)}
	for _, one := range page {
		res.Reports = append(res.Reports, userReportOf(one))
	}
	return res, err
}

func (a *API) userReport(ctx context.Context, r *http.Request, _ httpx.None) (userReport, error) {
	one, err := a.report(ctx, r, "user")
	return userReportOf(one), err
}

func (a *API) deleteUserReport(ctx context.Context, r *http.Request, _ httpx.None) (httpx.None, error) {
	return a.deleteReport(ctx, r, "user")
}
