package clientapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"hearth/api/httpx"
	"hearth/matrix/mxerr"
	"hearth/matrix/pushrule"
)

func (p *Personal) pushrulesRoutes() []httpx.Route {
	const rule = "/pushrules/global/{kind}/{ruleId}"
	routes := []httpx.Route{
		{Pattern: "GET /pushrules/{$}", Handler: httpx.JSON(p.getPushRules), Spec: "getPushRules"},
		{Pattern: "GET /pushrules", Handler: httpx.JSON(p.getPushRules)},
		{Pattern: "GET /pushrules/global/{$}", Handler: httpx.JSON(p.getPushRulesGlobal), Spec: "getPushRulesGlobal"},
		{Pattern: "GET /pushrules/global", Handler: httpx.JSON(p.getPushRulesGlobal)},
		{Pattern: "GET /pushrules/global/{kind}", Handler: httpx.JSON(p.getPushRulesOfKind)},
		{Pattern: "GET /pushrules/global/{kind}/{$}", Handler: httpx.JSON(p.getPushRulesOfKind)},
		{Pattern: "GET " + rule, Handler: httpx.JSON(p.getPushRule), Spec: "getPushRule"},
		{Pattern: "PUT " + rule, Handler: httpx.JSON(p.setPushRule), Spec: "setPushRule"},
		{Pattern: "DELETE " + rule, Handler: httpx.JSON(p.deletePushRule), Spec: "deletePushRule"},
		{Pattern: "GET " + rule + "/enabled", Handler: httpx.JSON(p.isPushRuleEnabled), Spec: "isPushRuleEnabled"},
		{Pattern: "PUT " + rule + "/enabled", Handler: httpx.JSON(p.setPushRuleEnabled), Spec: "setPushRuleEnabled"},
		{Pattern: "GET " + rule + "/actions", Handler: httpx.JSON(p.getPushRuleActions), Spec: "getPushRuleActions"},
		{Pattern: "PUT " + rule + "/actions", Handler: httpx.JSON(p.setPushRuleActions), Spec: "setPushRuleActions"},
	}
	for i := range routes {
		routes[i].Auth = httpx.User
		if !strings.HasPrefix(routes[i].Pattern, "GET ") {
			routes[i].Limit = "personal"
		}
	}
	return routes
}

type pushRulesRes struct {
	Global pushrule.Ruleset `json:"global"`
}

// getPushRules: client-server-api/#get_matrixclientv3pushrules
func (p *Personal) getPushRules(ctx context.Context, r *http.Request, none httpx.None) (pushRulesRes, error) {
	rs, err := p.getPushRulesGlobal(ctx, r, none)
	return pushRulesRes{rs}, err
}

// getPushRulesGlobal: client-server-api/#get_matrixclientv3pushrulesglobal
func (p *Personal) getPushRulesGlobal(ctx context.Context, _ *http.Request, _ httpx.None) (pushrule.Ruleset, error) {
	return p.Push.Rules(ctx, httpx.Who(ctx).User)
}

// getPushRulesOfKind is not specified; old clients ask for one kind.
func (p *Personal) getPushRulesOfKind(ctx context.Context, r *http.Request, _ httpx.None) (pushrule.List, error) {
	kind, err := pushrule.ParseKind(r.PathValue("kind"))
	if err != nil {
		return nil, err
	}
	rs, err := p.Push.Rules(ctx, httpx.Who(ctx).User)
	return rs.List(kind), err
}

// ruleName is the kind and id in the path.
func ruleName(r *http.Request) (pushrule.Kind, string, error) {
	kind, err := pushrule.ParseKind(r.PathValue("kind"))
	id := r.PathValue("ruleId")
	if err == nil && !utf8.ValidString(id) {
		err = mxerr.New(mxerr.InvalidParam, "The id of a push rule is UTF-8")
	}
	return kind, id, err
}

// getPushRule: client-server-api/#get_matrixclientv3pushrulesglobalkindruleid
func (p *Personal) getPushRule(ctx context.Context, r *http.Request, _ httpx.None) (pushrule.Rule, error) {
	kind, id, err := ruleName(r)
	if err != nil {
		return pushrule.Rule{}, err
	}
	rs, err := p.Push.Rules(ctx, httpx.Who(ctx).User)
	if err != nil {
		return pushrule.Rule{}, err
	}
	return rs.Get(kind, id)
}

// changeRule lets edit change the caller's rules.
func (p *Personal) changeRule(ctx context.Context, r *http.Request, edit func(rs pushrule.Ruleset, kind pushrule.Kind, id string) (pushrule.Ruleset, error)) (empty, error) {
	kind, id, err := ruleName(r)
	if err != nil {
		return empty{}, err
	}
	return empty{}, p.Push.ChangeRules(ctx, httpx.Who(ctx).User, func(rs pushrule.Ruleset) (pushrule.Ruleset, error) {
		return edit(rs, kind, id)
	})
}

// setPushRule: client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
func (p *Personal) setPushRule(ctx context.Context, r *http.Request, req pushrule.Draft) (empty, error) {
	q := r.URL.Query()
	at := pushrule.Place{Before: q.Get("before"), After: q.Get("after")}
	return p.changeRule(ctx, r, func(rs pushrule.Ruleset, kind pushrule.Kind, id string) (pushrule.Ruleset, error) {
		return rs.Put(kind, id, req, at)
	})
}

// deletePushRule: client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid
func (p *Personal) deletePushRule(ctx context.Context, r *http.Request, _ httpx.None) (empty, error) {
	return p.changeRule(ctx, r, pushrule.Ruleset.Delete)
}

type ruleEnabled struct {
	Enabled *bool `json:"enabled"`
}

// isPushRuleEnabled: client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled
func (p *Personal) isPushRuleEnabled(ctx context.Context, r *http.Request, none httpx.None) (ruleEnabled, error) {
	rule, err := p.getPushRule(ctx, r, none)
	return ruleEnabled{&rule.Enabled}, err
}

// setPushRuleEnabled: client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled
func (p *Personal) setPushRuleEnabled(ctx context.Context, r *http.Request, req ruleEnabled) (empty, error) {
	if req.Enabled == nil {
		return empty{}, missing("enabled")
	}
	return p.changeRule(ctx, r, func(rs pushrule.Ruleset, kind pushrule.Kind, id string) (pushrule.Ruleset, error) {
		return rs.Enable(kind, id, *req.Enabled)
	})
}

type ruleActions struct {
	Actions json.RawMessage `json:"actions"`
}

// getPushRuleActions: client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions
func (p *Personal) getPushRuleActions(ctx context.Context, r *http.Request, none httpx.None) (ruleActions, error) {
	rule, err := p.getPushRule(ctx, r, none)
	if err != nil {
		return ruleActions{}, err
	}
	raw, err := json.Marshal(rule.Actions)
	return ruleActions{raw}, err
}

// setPushRuleActions: client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions
func (p *Personal) setPushRuleActions(ctx context.Context, r *http.Request, req ruleActions) (empty, error) {
	if req.Actions == nil {
		return empty{}, missing("actions")
	}
	var actions pushrule.Actions
	if err := httpx.Decode(req.Actions, &actions); err != nil {
		return empty{}, err
	}
	return p.changeRule(ctx, r, func(rs pushrule.Ruleset, kind pushrule.Kind, id string) (pushrule.Ruleset, error) {
		return rs.SetActions(kind, id, actions)
	})
}
