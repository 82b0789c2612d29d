package store_test

import (
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
)

func TestRoomRowRoundTrip(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		want := store.Room{RoomID: "!a:b", Version: "12", RowVersion: 1, Heads: []int64{3, 1 << 40}, Depth: 7, LastPos: 9, Joined: 2, Invited: 1, Listed: true}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			want.NID = tx.NextPos()
			return store.InsertRoom(tx, want)
		})
		if err != nil {
			t.Fatal(err)
		}
		stale := want
		want.Depth, want.Heads = 8, []int64{4}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.UpdateRoom(tx, want) }); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.UpdateRoom(tx, stale) }); err == nil {
			t.Error("a commit with an old row version went through")
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			got, err := store.RoomByID(tx, "!a:b")
			if err != nil {
				return err
			}
			if got.Depth != 8 || got.RowVersion != 2 || len(got.Heads) != 1 || got.Heads[0] != 4 || !got.Listed {
				t.Errorf("got %+v", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
