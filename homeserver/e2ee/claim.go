package e2ee

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// maxAsked bounds the users, and the devices, that one request asks for.
const maxAsked = 10_000

// Claimed are one-time keys by user, device and "<algorithm>:<id>".
type Claimed map[string]map[string]map[string]json.RawMessage

// Claim gives away one key of each device, for the algorithm that ask has for
// user and device: a one-time key, or the fallback key when none is left. No
// one-time key is ever given twice. Devices without a key are left out.
func (e *Engine) Claim(ctx context.Context, ask map[string]map[string]string) (Claimed, error) {
	var wanted []store.OneTimeKey
	for user, devices := range ask {
		for device, algorithm := range devices {
			if e.local(user) {
				wanted = append(wanted, store.OneTimeKey{User: user, Device: device, Algorithm: algorithm})
			}
		}
	}
	if len(wanted) > maxAsked {
		return nil, mxerr.New(mxerr.InvalidParam, "More than %d devices at once", maxAsked)
	}
	out := Claimed{}
	for some := range slices.Chunk(wanted, maxClaimed) {
		got, err := e.claimSome(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, k := range got {
			if out[k.User] == nil {
				out[k.User] = map[string]map[string]json.RawMessage{}
			}
			out[k.User][k.Device] = map[string]json.RawMessage{k.Algorithm + ":" + k.ID: k.Key}
		}
	}
	return out, nil
}

// maxClaimed bounds the keys that one write takes, so that messages need not wait
// while somebody claims those of a large room.
const maxClaimed = 50

func (e *Engine) claimSome(ctx context.Context, wanted []store.OneTimeKey) (got []store.OneTimeKey, err error) {
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		got = nil
		for _, w := range wanted {
			k, err := e.claimOne(tx, w)
			if errors.Is(err, db.ErrNoRow) || errors.Is(err, db.ErrText) {
				continue
			}
			if err != nil {
				return err
			}
			got = append(got, k)
		}
		return nil
	})
	return got, err
}

// claimOne takes the key that has waited longest. Another process may be faster,
// so that it counts who removes the row.
func (e *Engine) claimOne(tx *db.Tx, w store.OneTimeKey) (store.OneTimeKey, error) {
	for {
		k, err := store.FirstOneTimeKey(tx, w.User, w.Device, w.Algorithm)
		if errors.Is(err, db.ErrNoRow) {
			break
		}
		if err != nil {
			return k, err
		}
		mine, err := store.TakeOneTimeKey(tx, k)
		if err != nil || mine {
			e.taken(tx, w.User, w.Device)
			return k, err
		}
	}
	k, err := store.FallbackKey(tx, w.User, w.Device, w.Algorithm)
	if err != nil || k.Used {
		return k, err
	}
	e.taken(tx, w.User, w.Device)
	return k, store.UseFallbackKey(tx, w.User, w.Device, w.Algorithm)
}

// taken notes that a device has fewer keys when tx is durable. It hears of that with
// its next /sync.
func (e *Engine) taken(tx *db.Tx, user, device string) {
	e.counts.drop(tx, user, device)
	if e.Claimed != nil {
		tx.AfterCommit(func() { e.Claimed(user, device) })
	}
}
