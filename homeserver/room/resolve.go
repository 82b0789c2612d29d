package room

import (
	"context"

	"hearth/base/trie"
	"hearth/matrix/stateres"
)

// provisional stands for the number of an event that is not stored yet: later
// than all others.
const provisional int64 = 1 << 62

// fork is one of several versions of a room's state: a root, and at most one
// event on top of it.
type fork struct {
	root int64
	top  *Event // set on top of root; nil for none
}

// resolution is the outcome of a conflict: what to change in the first fork's
// root. Numbers may be provisional.
type resolution struct {
	base    int64
	changes []trie.Entry
}

// resolve settles what several forks disagree about
// (server-server-api/#room-state-resolution).
func (e *Engine) resolve(ctx context.Context, r *Room, forks []fork) (resolution, error) {
	base := forks[0].root
	conflicts := map[int64]bool{}
	for _, f := range forks {
		diff, err := e.StateDiff(ctx, base, f.root)
		if err != nil {
			return resolution{}, err
		}
		for sk := range diff {
			conflicts[sk] = true
		}
		if f.top != nil {
			conflicts[f.top.SK] = true
		}
	}
	if len(conflicts) == 0 {
		return resolution{base: base}, nil
	}
	values, names, err := e.forkValues(ctx, forks, conflicts)
	if err != nil {
		return resolution{}, err
	}
	in := stateres.Input{
		Version: r.Version,
		Shared: func(k stateres.Key) (int64, error) {
			sk, err := e.skOf(ctx, Key(k))
			if err != nil || sk == 0 {
				return 0, err
			}
			return trie.Get(readSource{ctx, e}, base, sk)
		},
		SharedAll: func(yield func(int64) bool) error {
			return trie.Walk(readSource{ctx, e}, base, func(en trie.Entry) bool { return yield(en.Val) })
		},
		Load: func(ctx context.Context, nids []int64) ([]*stateres.Event, error) {
			return e.loadForRes(ctx, r, nids, forks)
		},
	}
	for _, v := range values {
		m := make(map[stateres.Key]int64, len(v))
		for sk, nid := range v {
			m[stateres.Key(names[sk])] = nid
		}
		in.Forks = append(in.Forks, m)
	}
	winners, err := stateres.Resolve(ctx, in)
	if err != nil {
		return resolution{}, err
	}
	out := resolution{base: base}
	for sk := range conflicts {
		inBase, err := trie.Get(readSource{ctx, e}, base, sk)
		if err != nil {
			return resolution{}, err
		}
		if w := winners[stateres.Key(names[sk])]; w != inBase {
			out.changes = append(out.changes, trie.Entry{Key: sk, Val: w})
		}
		delete(winners, stateres.Key(names[sk]))
	}
	return out, e.addReplayed(ctx, &out, winners)
}

// addReplayed adds the keys that no fork has and that a resolution brought back
// all the same, because it replayed an event of the forks' past.
func (e *Engine) addReplayed(ctx context.Context, out *resolution, winners map[stateres.Key]int64) error {
	for key, nid := range winners {
		sk, err := e.skOf(ctx, Key(key))
		if err != nil {
			return err
		}
		inBase, err := trie.Get(readSource{ctx, e}, out.base, sk)
		if err != nil {
			return err
		}
		if nid != inBase {
			out.changes = append(out.changes, trie.Entry{Key: sk, Val: nid})
		}
	}
	return nil
}

// forkValues reads what each fork has for the keys in conflict.
func (e *Engine) forkValues(ctx context.Context, forks []fork, conflicts map[int64]bool) ([]map[int64]int64, map[int64]Key, error) {
	sks := make([]int64, 0, len(conflicts))
	for sk := range conflicts {
		sks = append(sks, sk)
	}
	names, err := e.KeyNames(ctx, sks)
	if err != nil {
		return nil, nil, err
	}
	values := make([]map[int64]int64, len(forks))
	for i, f := range forks {
		values[i] = map[int64]int64{}
		for _, sk := range sks {
			nid, err := trie.Get(readSource{ctx, e}, f.root, sk)
			if err != nil {
				return nil, nil, err
			}
			if f.top != nil && f.top.SK == sk {
				nid = f.top.NID
			}
			if nid != 0 {
				values[i][sk] = nid
			}
		}
	}
	return values, names, nil
}

func (e *Engine) loadForRes(ctx context.Context, r *Room, nids []int64, forks []fork) ([]*stateres.Event, error) {
	events, err := e.Events(ctx, r.Version, nids)
	if err != nil {
		return nil, err
	}
	for _, f := range forks {
		if f.top != nil && f.top.NID == provisional {
			for _, nid := range nids {
				if nid == provisional {
					events = append(events, f.top)
				}
			}
		}
	}
	out := make([]*stateres.Event, len(events))
	for i, ev := range events {
		out[i] = &stateres.Event{PDU: ev.Event, NID: ev.NID, Auth: ev.Auth, Rejected: ev.rejected()}
	}
	return out, nil
}
