package fedclient

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"hearth/base/contain"
	"hearth/matrix/canonjson"
	"hearth/matrix/mxid"
	"hearth/matrix/signing"

	"golang.org/x/sync/singleflight"
)

const (
	maxRings     = 5000 // servers whose keys are remembered
	maxKeys      = 64   // keys of one server
	maxKeyAnswer = 64 << 10
	maxKeyTasks  = 32 // servers that are asked for keys at a time
	keyTimeout   = 10 * time.Second
	keyLife      = 7 * 24 * time.Hour // whatever a server says
	askKeysAgain = time.Minute        // the least time between two questions to a server
)

// keyRing knows the keys with which other servers sign now. It is kept in memory
// only: keys for old events are another matter.
type keyRing struct {
	c      *Client
	tasks  chan struct{}
	flight singleflight.Group

	mu    sync.Mutex
	rings map[mxid.ServerName]ring
}

// ring is the keys of one server.
type ring struct {
	keys  map[string]ed25519.PublicKey // by their ids
	until time.Time
	asked time.Time
	err   error // why there are none
}

func newKeyRing(c *Client) *keyRing {
	return &keyRing{c: c, tasks: make(chan struct{}, maxKeyTasks), rings: map[mxid.ServerName]ring{}}
}

// key returns the key by which a server signs now.
func (k *keyRing) key(ctx context.Context, server mxid.ServerName, id string) (ed25519.PublicKey, error) {
	k.mu.Lock()
	r, known := k.rings[server]
	k.mu.Unlock()
	now := time.Now()
	pub, ok := r.keys[id]
	if ok && now.Before(r.until) {
		return pub, nil
	}
	// Strangers can have us ask anybody for anything: not more than so often.
	if !known || now.Sub(r.asked) >= askKeysAgain {
		ch := k.flight.DoChan(string(server), func() (any, error) {
			return contain.Value(func() (ring, error) { return k.renew(server), nil })
		})
		select {
		case res := <-ch:
			if r = res.Val.(ring); res.Err != nil {
				return nil, res.Err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if pub, ok = r.keys[id]; ok && now.Before(r.until) {
			return pub, nil
		}
	}
	if r.err == nil {
		r.err = fmt.Errorf("%s has no key %s", server, strconv.Quote(id))
	}
	return nil, r.err
}

// renew asks a server for its keys and remembers them.
func (k *keyRing) renew(server mxid.ServerName) ring {
	ctx, cancel := context.WithTimeout(k.c.life, keyTimeout)
	defer cancel()
	var r ring
	select {
	case k.tasks <- struct{}{}:
		r.keys, r.until, r.err = k.ask(ctx, server)
		<-k.tasks
	case <-ctx.Done():
		r.err = errors.New("too many servers are asked for keys")
	}
	r.asked = time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.rings[server]; !known && len(k.rings) >= maxRings {
		k.forget()
	}
	if old, known := k.rings[server]; known && r.err != nil {
		r.keys, r.until = old.keys, old.until // they hold as long as it said
	}
	k.rings[server] = r
	return r
}

// forget makes room: of a few, the server goes that was not asked for longest,
// rather one without keys.
func (k *keyRing) forget() {
	const few = 64
	var found mxid.ServerName
	seen := 0
	for name, r := range k.rings {
		best, ok := k.rings[found]
		if !ok || len(r.keys) == 0 && len(best.keys) > 0 || (len(r.keys) == 0) == (len(best.keys) == 0) && r.asked.Before(best.asked) {
			found = name
		}
		if seen++; seen == few {
			break
		}
	}
	delete(k.rings, found)
}

// ask fetches a server's keys (server-server-api/#get_matrixkeyv2server).
func (k *keyRing) ask(ctx context.Context, server mxid.ServerName) (map[string]ed25519.PublicKey, time.Time, error) {
	res, err := k.c.Do(ctx, Request{To: server, Path: "/_matrix/key/v2/server", Unsigned: true, Now: true})
	if err != nil {
		return nil, time.Time{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeyAnswer+1))
	if err == nil && len(body) > maxKeyAnswer {
		err = errors.New("the list of keys is too long")
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return readKeys(body, server, time.Now())
}

// readKeys checks a list of keys: it must be signed by one of them.
func readKeys(body []byte, server mxid.ServerName, now time.Time) (map[string]ed25519.PublicKey, time.Time, error) {
	obj, err := canonjson.Canonical(nil, body, canonjson.Options{})
	if err != nil {
		return nil, time.Time{}, err
	}
	if name, _ := canonjson.GetString(obj, "server_name"); name != string(server) {
		return nil, time.Time{}, fmt.Errorf("%s shows the keys of %s", server, strconv.Quote(name))
	}
	keys, signed := map[string]ed25519.PublicKey{}, false
	list, _ := canonjson.Get(obj, "verify_keys")
	canonjson.Each(list, func(key, val []byte) bool {
		id := canonjson.Key(key)
		text, _ := canonjson.GetString(val, "key")
		pub, err := signing.DecodeBase64(text)
		if _, bad := signing.ParseKeyID(id); bad != nil || err != nil || len(pub) != ed25519.PublicKeySize {
			return true // of a kind that is not known here
		}
		keys[id] = pub
		signed = signed || signing.Verify(obj, string(server), id, pub) == nil
		return len(keys) < maxKeys
	})
	if !signed {
		return nil, time.Time{}, fmt.Errorf("the keys of %s are not signed by it", server)
	}
	ms, _ := canonjson.GetInt(obj, "valid_until_ts")
	until := time.UnixMilli(ms)
	if most := now.Add(keyLife); until.After(most) {
		until = most
	}
	return keys, until, nil
}
