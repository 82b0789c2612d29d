// Package mxerr is the one error type that crosses package borders in Hearth.
//
// An Error says what the caller may be told. Everything else, such as a disk
// failure or a broken query, stays an ordinary wrapped error: the HTTP layer
// logs it in full and answers M_UNKNOWN with status 500.
package mxerr

import (
	"errors"
	"fmt"
	"net/http"
)

// Error is a failure that may be shown to a client or to another homeserver.
type Error struct {
	Code   Code
	Text   string         // for humans; the spec's "error" field
	Fields map[string]any // extra body fields, e.g. "retry_after_ms"
	Cause  error          // logged, never sent
	Status int            // 0 means the status that Code usually has
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Text, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Text)
}

func (e *Error) Unwrap() error { return e.Cause }

// Code is a Matrix errcode such as "M_FORBIDDEN"
// (client-server-api/#standard-error-response).
type Code string

// The codes of the specification that Hearth answers with.
const (
	Forbidden               Code = "M_FORBIDDEN"
	UnknownToken            Code = "M_UNKNOWN_TOKEN"
	MissingToken            Code = "M_MISSING_TOKEN"
	UserLocked              Code = "M_USER_LOCKED"
	UserSuspended           Code = "M_USER_SUSPENDED"
	UserLimitExceeded       Code = "M_USER_LIMIT_EXCEEDED"
	UserDeactivated         Code = "M_USER_DEACTIVATED"
	BadJSON                 Code = "M_BAD_JSON"
	NotJSON                 Code = "M_NOT_JSON"
	NotFound                Code = "M_NOT_FOUND"
	LimitExceeded           Code = "M_LIMIT_EXCEEDED"
	Unrecognized            Code = "M_UNRECOGNIZED"
	Unknown                 Code = "M_UNKNOWN"
	Unauthorized            Code = "M_UNAUTHORIZED"
	UserInUse               Code = "M_USER_IN_USE"
	InvalidUsername         Code = "M_INVALID_USERNAME"
	RoomInUse               Code = "M_ROOM_IN_USE"
	InvalidRoomState        Code = "M_INVALID_ROOM_STATE"
	UnsupportedRoomVersion  Code = "M_UNSUPPORTED_ROOM_VERSION"
	IncompatibleRoomVersion Code = "M_INCOMPATIBLE_ROOM_VERSION"
	BadState                Code = "M_BAD_STATE"
	GuestAccessForbidden    Code = "M_GUEST_ACCESS_FORBIDDEN"
	MissingParam            Code = "M_MISSING_PARAM"
	InvalidParam            Code = "M_INVALID_PARAM"
	TooLarge                Code = "M_TOO_LARGE"
	Exclusive               Code = "M_EXCLUSIVE"
	CannotLeaveNoticeRoom   Code = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"
	WeakPassword            Code = "M_WEAK_PASSWORD"
	UnableToAuthoriseJoin   Code = "M_UNABLE_TO_AUTHORISE_JOIN"
	UnableToGrantJoin       Code = "M_UNABLE_TO_GRANT_JOIN"
	BadAlias                Code = "M_BAD_ALIAS"
	ThreepidNotFound        Code = "M_THREEPID_NOT_FOUND"
	ThreepidInUse           Code = "M_THREEPID_IN_USE"
	ThreepidDenied          Code = "M_THREEPID_DENIED"
	ThreepidAuthFailed      Code = "M_THREEPID_AUTH_FAILED"
	ThreepidNotSupported    Code = "M_THREEPID_MEDIUM_NOT_SUPPORTED"
	ServerNotTrusted        Code = "M_SERVER_NOT_TRUSTED"
	CaptchaInvalid          Code = "M_CAPTCHA_INVALID"
	ConsentNotGiven         Code = "M_CONSENT_NOT_GIVEN"
	DuplicateAnnotation     Code = "M_DUPLICATE_ANNOTATION"
	ProfileTooLarge         Code = "M_PROFILE_TOO_LARGE"
	KeyTooLarge             Code = "M_KEY_TOO_LARGE"
	UnknownPos              Code = "M_UNKNOWN_POS"
	UnknownDevice           Code = "M_UNKNOWN_DEVICE"
	InvalidSignature        Code = "M_INVALID_SIGNATURE"
	WrongRoomKeysVersion    Code = "M_WRONG_ROOM_KEYS_VERSION"
	InviteBlocked           Code = "M_INVITE_BLOCKED"
	NotYetUploaded          Code = "M_NOT_YET_UPLOADED"
	CannotOverwriteMedia    Code = "M_CANNOT_OVERWRITE_MEDIA"
)

var status = map[Code]int{
	Forbidden:             http.StatusForbidden,
	UnknownToken:          http.StatusUnauthorized,
	MissingToken:          http.StatusUnauthorized,
	UserLocked:            http.StatusUnauthorized,
	UserSuspended:         http.StatusForbidden,
	UserLimitExceeded:     http.StatusForbidden,
	UserDeactivated:       http.StatusForbidden,
	Unauthorized:          http.StatusUnauthorized,
	NotFound:              http.StatusNotFound,
	UnknownDevice:         http.StatusNotFound,
	WrongRoomKeysVersion:  http.StatusForbidden,
	Unrecognized:          http.StatusNotFound,
	LimitExceeded:         http.StatusTooManyRequests,
	GuestAccessForbidden:  http.StatusForbidden,
	CannotLeaveNoticeRoom: http.StatusForbidden,
	UnableToGrantJoin:     http.StatusForbidden,
	CaptchaInvalid:        http.StatusUnauthorized,
	ThreepidDenied:        http.StatusForbidden,
	ThreepidAuthFailed:    http.StatusForbidden,
	ConsentNotGiven:       http.StatusForbidden,
	InviteBlocked:         http.StatusForbidden,
	TooLarge:              http.StatusRequestEntityTooLarge,
	Unknown:               http.StatusInternalServerError,
}

// New returns an Error with a formatted text.
func New(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...)}
}

// From finds the Error in err's chain. An err without one becomes M_UNKNOWN
// with err as its cause, so nothing internal reaches the wire.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Unknown, Text: "Internal server error", Cause: err}
}

// HTTPStatus is the status line that goes with e. Codes that are not listed
// describe a bad request.
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	if s, ok := status[e.Code]; ok {
		return s
	}
	return http.StatusBadRequest
}

// WithStatus returns e with another status than its code usually has.
func (e *Error) WithStatus(status int) *Error {
	e.Status = status
	return e
}
