package pusher_test

import (
	"fmt"
	"math/big"
	"testing"

	"hearth/base/store"
	"hearth/homeserver/pusher"
	"hearth/matrix/mxerr"
)

func bigInt(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// TestPushersAreBounded: nobody can have a thousand phones.
func TestPushersAreBounded(t *testing.T) {
	each(t, func(h *house) {
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = h.engine.Set(h.Context(), store.Pusher{
				User: bob, App: "a", Key: fmt.Sprint(i), Kind: pusher.HTTP, AppName: "a", DeviceName: "b", Lang: "en",
				Data: []byte(`{"url":"https://example.org/_matrix/push/v1/notify"}`),
			}, true)
		}
		if mxerr.From(err).Code != mxerr.InvalidParam {
			h.Errorf("got %v", err)
		}
	})
}

// TestGatewaysAreSomewhereElse: pushers do not lead to strange places.
func TestGatewaysAreSomewhereElse(t *testing.T) {
	each(t, func(h *house) {
		for _, url := range []string{"", "ftp://example.org/_matrix/push/v1/notify", "https://example.org/", "https://u:p@example.org/_matrix/push/v1/notify", "://"} {
			err := h.engine.Set(h.Context(), store.Pusher{
				User: bob, App: "a", Key: "k", Kind: pusher.HTTP, AppName: "a", DeviceName: "b", Lang: "en", Data: fmt.Appendf(nil, `{"url":%q}`, url),
			}, true)
			if c := mxerr.From(err).Code; c != mxerr.InvalidParam && c != mxerr.MissingParam {
				h.Errorf("%q: got %v", url, err)
			}
		}
	})
}
