package clientapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"

	"hearth/api/httpx"
	"hearth/homeserver/account"
	"hearth/homeserver/e2ee"
	"hearth/matrix/mxerr"
)

func (a *Encryption) crossSigningRoutes() []httpx.Route {
	return []httpx.Route{{
		Pattern: "POST /keys/device_signing/upload",
		Also:    []string{"POST /_matrix/client/unstable/keys/device_signing/upload"},
		Auth:    httpx.User,
		Limit:   "keys",
		Handler: interactive(a.uploadCrossSigningKeys),
		Spec:    "uploadCrossSigningKeys",
	}, {
		Pattern: "POST /keys/signatures/upload",
		Also:    []string{"POST /_matrix/client/unstable/keys/signatures/upload"},
		Auth:    httpx.User,
		Limit:   "keys",
		Handler: httpx.JSON(a.uploadCrossSigningSignatures),
		Spec:    "uploadCrossSigningSignatures",
	}}
}

type uploadCrossSigningReq struct {
	e2ee.CrossSigning
	Auth *account.Auth `json:"auth"`
}

// uploadCrossSigningKeys: client-server-api/#post_matrixclientv3keysdevice_signingupload
func (a *Encryption) uploadCrossSigningKeys(ctx context.Context, _ *http.Request, req uploadCrossSigningReq) (empty, error) {
	s := session(ctx)
	err := a.Keys.UploadCrossSigning(ctx, string(s.User), req.CrossSigning, false)
	if !errors.Is(err, e2ee.ErrNeedsAuth) {
		return empty{}, err
	}
	what := sha256.New()
	for _, key := range []json.RawMessage{req.Master, req.SelfSigning, req.UserSigning} {
		what.Write(key)
	}
	if err := a.Accounts.Confirm(ctx, s, "cross-signing "+hex.EncodeToString(what.Sum(nil)), req.Auth, httpx.Addr(ctx)); err != nil {
		return empty{}, err
	}
	return empty{}, a.Keys.UploadCrossSigning(ctx, string(s.User), req.CrossSigning, true)
}

type keyFailure struct {
	Code    mxerr.Code `json:"errcode"`
	Message string     `json:"error"`
}

type uploadSignaturesRes struct {
	Failures map[string]map[string]keyFailure `json:"failures"`
}

// uploadCrossSigningSignatures: client-server-api/#post_matrixclientv3keyssignaturesupload
func (a *Encryption) uploadCrossSigningSignatures(ctx context.Context, _ *http.Request, req map[string]map[string]json.RawMessage) (uploadSignaturesRes, error) {
	failures, err := a.Keys.UploadSignatures(ctx, httpx.Who(ctx).User, req)
	res := uploadSignaturesRes{map[string]map[string]keyFailure{}}
	for user, keys := range failures {
		res.Failures[user] = map[string]keyFailure{}
		for key, why := range keys {
			res.Failures[user][key] = keyFailure{why.Code, why.Text}
		}
	}
	return res, err
}
