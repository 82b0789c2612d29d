package clientapi

import (
	"cmp"
	"context"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/delayed"
	"hearth/matrix/roomver"
)

func (a *Accounts) capabilitiesRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "GET /capabilities",
		Auth:    httpx.Guest,
		Handler: httpx.JSON(a.getCapabilities),
		Spec:    "getCapabilities",
	}}
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

type roomVersions struct {
	Default   string            `json:"default"`
	Available map[string]string `json:"available"`
}

type capabilities struct {
	ChangePassword enabled      `json:"m.change_password"`
	RoomVersions   roomVersions `json:"m.room_versions"`
	SetDisplayName enabled      `json:"m.set_displayname"`
	SetAvatarURL   enabled      `json:"m.set_avatar_url"`
	ThreepidChange enabled      `json:"m.3pid_changes"`
	GetLoginToken  enabled      `json:"m.get_login_token"`
	ProfileFields  enabled      `json:"m.profile_fields"`
	Moderation     *moderation  `json:"m.account_moderation,omitempty"`
	OldModeration  *moderation  `json:"uk.timedout.msc4323,omitempty"`
	ForgetOnLeave  enabled      `json:"m.forget_forced_upon_leave"`
	Delayed        delayLimits  `json:"m.delayed_events"` // MSC4140
	OldDelayed     delayLimits  `json:"org.matrix.msc4140.delayed_events"`
	WebPush        *webPush     `json:"m.webpush,omitempty"` // MSC4174
	OldWebPush     *webPush     `json:"org.matrix.msc4174.webpush,omitempty"`
}

type moderation struct {
	Suspend bool `json:"suspend"`
	Lock    bool `json:"lock"`
}

type webPush struct {
	Enabled bool   `json:"enabled"`
	VAPID   string `json:"vapid"`
}

type delayLimits struct {
	MaxDelay     int64 `json:"max_delay_ms"`
	MaxScheduled int   `json:"max_scheduled"`
}

type capabilitiesRes struct {
	Capabilities capabilities `json:"capabilities"`
}

// getCapabilities: client-server-api/#get_matrixclientv3capabilities
func (a *Accounts) getCapabilities(ctx context.Context, _ *http.Request, _ httpx.None) (capabilitiesRes, error) {
	person := enabled{!httpx.Who(ctx).Guest}
	c := capabilities{
		ChangePassword: person,
		RoomVersions:   roomVersions{Default: cmp.Or(a.DefaultRoomVersion, roomver.Default), Available: map[string]string{}},
		SetDisplayName: enabled{true},
		SetAvatarURL:   person,
		ProfileFields:  person,
		GetLoginToken:  person,
		ThreepidChange: enabled{person.Enabled && (a.Engine.Mail != nil || a.Engine.SMS != nil)},
		Delayed:        delayLimits{delayed.MaxDelay.Milliseconds(), delayed.MaxScheduled},
	}
	c.OldDelayed = c.Delayed
	if httpx.Who(ctx).Admin {
		c.Moderation = &moderation{true, true}
		c.OldModeration = c.Moderation
	}
	if a.WebPush != "" {
		c.WebPush = &webPush{true, a.WebPush}
		c.OldWebPush = c.WebPush
	}
	for _, v := range roomver.All() {
		c.RoomVersions.Available[v.ID] = "stable"
	}
	return capabilitiesRes{c}, nil
}
