package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Terms are the terms of use. An empty Version means that there are none.
type Terms struct {
	Version   string
	URL       string
	Privacy   string // URL of the privacy policy, "" for none
	Everybody bool   // whether people who were here before must agree, too
}

// Policy is one document of the terms.
type Policy struct{ ID, Name, URL string }

// Policies lists the documents.
func (t Terms) Policies() []Policy {
	if t.Version == "" {
		return nil
	}
	all := []Policy{{"terms_of_service", "Terms of use", t.URL}}
	if t.Privacy != "" {
		all = append(all, Policy{"privacy_policy", "Privacy policy", t.Privacy})
	}
	return all
}

// params are those of m.login.terms (client-server-api/#terms-of-service-at-registration).
func (t Terms) params() map[string]any {
	policies := map[string]any{}
	for _, p := range t.Policies() {
		policies[p.ID] = map[string]any{"version": t.Version, "en": map[string]string{"name": p.Name, "url": p.URL}}
	}
	return map[string]any{"policies": policies}
}

// Owes reports whether the owner of a session must agree to the terms before they
// may speak.
func (e *Engine) Owes(s *Session) bool {
	return e.Terms.Everybody && e.Terms.Version != "" && s.Consent != e.Terms.Version && !s.Guest
}

// ConsentURI is the page on which a user agrees.
func (e *Engine) ConsentURI(user mxid.UserID) string {
	q := url.Values{"u": {string(user)}, "v": {e.Terms.Version}, "h": {e.consentMAC(user, e.Terms.Version)}}
	return e.PublicURL + "/_matrix/client/consent?" + q.Encode()
}

func (e *Engine) consentMAC(user mxid.UserID, version string) string {
	m := hmac.New(sha256.New, e.Secret)
	m.Write([]byte("consent\x00" + string(user) + "\x00" + version))
	return hex.EncodeToString(m.Sum(nil))
}

// CheckConsent wants a link to be one that ConsentURI has made.
func (e *Engine) CheckConsent(user mxid.UserID, version, mac string) error {
	if len(e.Secret) == 0 || version == "" || !hmac.Equal([]byte(mac), []byte(e.consentMAC(user, version))) {
		return mxerr.New(mxerr.Forbidden, "This link is not valid")
	}
	return nil
}

// Agree notes that a user has agreed to a version of the terms.
func (e *Engine) Agree(ctx context.Context, user mxid.UserID, version string) error {
	return e.db.Write(ctx, func(tx *db.Tx) error {
		u, err := e.findTx(tx, string(user))
		if err != nil {
			return err
		}
		u.Consent, u.ConsentAt = version, e.nowMS()
		e.forget(tx, u.ID, "")
		return store.UpdateUser(tx, u)
	})
}
