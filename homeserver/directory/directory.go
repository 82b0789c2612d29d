// Package directory is what people find rooms by: the names that this server
// gives rooms, and the list of rooms that it shows to everybody. It does not
// know HTTP, and asks no other server.
package directory

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
	"hearth/matrix/mxid"
)

// Config is what a Directory needs from the rest of the server.
type Config struct {
	DB     *db.DB
	Rooms  *room.Engine
	Server mxid.ServerName
	Now    func() time.Time // nil for the clock
}

// Directory answers for one server.
type Directory struct {
	Config

	observers []func(room int64)

	stale atomic.Bool // the list in memory may differ from the store

	mu       sync.Mutex
	list     *list
	networks map[Network]*list // of those that services bridge; see network
}

// Who is the person that asks for a change.
type Who struct {
	User  string
	Admin bool // of the server: may change what others made
}

// New returns a Directory that observes the rooms. Call it before the first
// request.
func New(c Config) *Directory {
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Directory{Config: c, list: &list{}}
	c.Rooms.Observe(d.observe)
	return d
}

// Observe registers a function that is called when a room gets or loses an alias.
// It runs in the store's writer, so it must be quick. Call Observe before the first
// request.
func (d *Directory) Observe(f func(room int64)) { d.observers = append(d.observers, f) }

// renamed tells observers of rooms when tx is durable.
func (d *Directory) renamed(tx *db.Tx, rooms ...int64) {
	tx.AfterCommit(func() {
		for _, f := range d.observers {
			for _, r := range rooms {
				f(r)
			}
		}
	})
}

// maxAliases bounds how many names a room has here.
const maxAliases = 1000

// Resolve returns the id of the room that an alias names. There is none:
// M_NOT_FOUND.
func (d *Directory) Resolve(ctx context.Context, alias string) (roomID string, err error) {
	a, err := mxid.ParseRoomAlias(alias)
	if err != nil {
		return "", err
	}
	if a.Server() != d.Server {
		return "", mxerr.New(mxerr.NotFound, "This server does not talk to other servers, so %s cannot be found", alias)
	}
	row, err := d.find(ctx, alias)
	if err != nil {
		return "", err
	}
	r, err := d.Rooms.RoomByNID(ctx, row.Room)
	if err != nil {
		return "", err
	}
	return r.ID, nil
}

func (d *Directory) find(ctx context.Context, alias string) (row store.Alias, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.AliasByName(tx, alias)
		return err
	})
	if errors.Is(err, db.ErrNoRow) {
		return row, mxerr.New(mxerr.NotFound, "There is no room with the alias %s", alias)
	}
	return row, err
}

// Add names a room. Its members may do that. A name that is taken is M_UNKNOWN
// with status 409, as the specification has it.
func (d *Directory) Add(ctx context.Context, who Who, alias, roomID string) error {
	if err := d.local(alias); err != nil {
		return err
	}
	r, err := d.memberRoom(ctx, who, roomID)
	if err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		have, err := store.AliasesOf(tx, r.NID)
		if err != nil {
			return err
		}
		if len(have) >= maxAliases {
			return mxerr.New(mxerr.InvalidParam, "The room has %d aliases already", len(have))
		}
		d.renamed(tx, r.NID)
		ok, err := store.InsertAlias(tx, store.Alias{Alias: alias, Room: r.NID, Creator: who.User, At: d.Now().UnixMilli()})
		if err == nil && !ok {
			err = mxerr.New(mxerr.Unknown, "The alias %s is taken", alias).WithStatus(409)
		}
		return err
	})
}

func (d *Directory) local(alias string) error {
	a, err := mxid.ParseRoomAlias(alias)
	if err != nil {
		return err
	}
	if a.Server() != d.Server {
		return mxerr.New(mxerr.InvalidParam, "Aliases of this server end in :%s", d.Server)
	}
	return nil
}

// memberRoom returns a room that who is a member of, or any for admins. Others
// learn nothing of it.
func (d *Directory) memberRoom(ctx context.Context, who Who, roomID string) (*room.Room, error) {
	m, err := d.Rooms.Membership(ctx, roomID, who.User)
	if err != nil {
		return nil, err
	}
	if m != store.Join && !who.Admin {
		return nil, mxerr.New(mxerr.Forbidden, "%s is not in this room", who.User)
	}
	return d.Rooms.Room(ctx, roomID)
}

// Remove frees a name. Who made it may do that, whoever may choose the room's
// main alias, and admins. It returns the id of the room.
func (d *Directory) Remove(ctx context.Context, who Who, alias string) (roomID string, err error) {
	if err := d.local(alias); err != nil {
		return "", err
	}
	row, err := d.find(ctx, alias)
	if err != nil {
		return "", err
	}
	r, err := d.Rooms.RoomByNID(ctx, row.Room)
	if err != nil {
		return "", err
	}
	if row.Creator != who.User {
		if err := d.mayName(ctx, who, r); err != nil {
			return "", err
		}
	}
	return r.ID, d.DB.Write(ctx, func(tx *db.Tx) error {
		d.renamed(tx, r.NID)
		return store.DeleteAlias(tx, alias)
	})
}

// mayName refuses those who may not choose the room's main alias.
func (d *Directory) mayName(ctx context.Context, who Who, r *room.Room) error {
	if who.Admin {
		return nil
	}
	m, err := d.Rooms.Membership(ctx, r.ID, who.User)
	if err != nil {
		return err
	}
	if m != store.Join {
		return mxerr.New(mxerr.Forbidden, "%s is not in this room", who.User)
	}
	levels, err := d.Rooms.Levels(ctx, r, r.Current().State)
	if err != nil {
		return err
	}
	if !levels.MaySet(who.User, "m.room.canonical_alias") {
		return mxerr.New(mxerr.Forbidden, "You may not choose the names of this room")
	}
	return nil
}

// Aliases lists the names of a room in order.
func (d *Directory) Aliases(ctx context.Context, r *room.Room) ([]string, error) {
	var rows []store.Alias
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.AliasesOf(tx, r.NID)
		return err
	})
	out := make([]string, len(rows))
	for i, a := range rows {
		out[i] = a.Alias
	}
	return out, err
}

// Move lets the local names of one room lead to another.
func (d *Directory) Move(ctx context.Context, from, to *room.Room) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		d.renamed(tx, from.NID, to.NID)
		return store.MoveAliases(tx, from.NID, to.NID)
	})
}

// Listed reports whether a room is in the public list. An unknown room is
// M_NOT_FOUND.
func (d *Directory) Listed(ctx context.Context, roomID string) (listed bool, err error) {
	r, err := d.Rooms.Room(ctx, roomID)
	if err != nil {
		return false, err
	}
	return listed, d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		listed, err = store.Listed(tx, r.NID)
		return err
	})
}

// SetListed puts a room into the public list or takes it out. Whoever may
// choose the room's main alias may do that.
func (d *Directory) SetListed(ctx context.Context, who Who, roomID string, listed bool) error {
	r, err := d.Rooms.Room(ctx, roomID)
	if err != nil {
		return err
	}
	if err := d.mayName(ctx, who, r); err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(func() { d.stale.Store(true) })
		return store.SetListed(tx, r.NID, listed)
	})
}
