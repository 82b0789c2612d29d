package steward

import (
	"context"
	"strings"
	"time"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// BlockedBy is who blocked a room, "" if it is open. Every join asks, so that the
// list is kept in memory.
func (s *Steward) BlockedBy(ctx context.Context, roomID string) (string, error) {
	if known := s.blocked.Load(); known != nil {
		return (*known)[roomID], nil
	}
	known := map[string]string{}
	// In the writer, so that no change comes between.
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		rows, err := store.BlockedRooms(tx)
		for _, r := range rows {
			known[r.RoomID] = r.By
		}
		tx.AfterCommit(func() { s.blocked.Store(&known) })
		return err
	})
	return known[roomID], err
}

// Block keeps people out of a room, which need not be here yet, or lets them in
// again. Who is in stays.
func (s *Steward) Block(ctx context.Context, admin, roomID string, block bool) error {
	if !strings.HasPrefix(roomID, "!") {
		return mxerr.New(mxerr.InvalidParam, "%q is not a room id", roomID)
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		tx.AfterCommit(func() { s.blocked.Store(nil) }) // to be read anew
		if block {
			return store.BlockRoom(tx, roomID, admin, time.Now().UnixMilli())
		}
		return store.UnblockRoom(tx, roomID)
	})
}
