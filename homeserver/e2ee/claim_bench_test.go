package e2ee

import (
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/db/dbtest"
	"hearth/base/notify"
	"hearth/base/store/storetest"
)

// BenchmarkClaim claims a key of each of 200 devices, as who speaks first in a
// room does.
func BenchmarkClaim(b *testing.B) {
	for name, d := range map[string]*db.DB{"sqlite": storetest.Open(b, dbtest.SQLite(b)), "postgres": storetest.Open(b, dbtest.Postgres(b))} {
		b.Run(name, func(b *testing.B) {
			e := New(Config{DB: d, Hub: notify.NewHub(d.Position()), Server: "test"})
			ask := map[string]map[string]string{}
			for i := range 200 {
				user := fmt.Sprintf("@user%d:test", i)
				ask[user] = map[string]string{"PHONE": "signed_curve25519"}
				if err := e.Upload(b.Context(), user, "PHONE", Upload{OneTimeKeys: keys(0, 50), FallbackKeys: keys(900, 901)}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if got, err := e.Claim(b.Context(), ask); err != nil || len(got) != len(ask) {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
