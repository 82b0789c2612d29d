package notice

import (
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
)

// TestReportsAreBounded: nobody fills the operator's list, and when the operator
// has looked there is room again.
func TestReportsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := New(Config{DB: d})
		mine := store.Report{Kind: "user", Reporter: "@alice:test", Target: "@bob:test"}
		first := mine
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			first.ID = tx.NextPos()
			if err := store.AddReport(tx, first); err != nil {
				return err
			}
			for range maxReports - 1 {
				r := mine
				r.ID = tx.NextPos()
				if err := store.AddReport(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Report(t.Context(), mine); err == nil || mxerr.From(err).Code != mxerr.LimitExceeded {
			t.Errorf("one more than fit: %v", err)
		}
		others := mine
		others.Reporter = "@carol:test"
		if err := e.Report(t.Context(), others); err != nil {
			t.Errorf("somebody else reports: %v", err)
		}
		if err := e.DeleteReport(t.Context(), "user", first.ID); err != nil {
			t.Fatal(err)
		}
		if err := e.Report(t.Context(), mine); err != nil {
			t.Errorf("when one has been dealt with: %v", err)
		}
		others.Reason = strings.Repeat("x", maxReason+1)
		if err := e.Report(t.Context(), others); err == nil || mxerr.From(err).Code != mxerr.TooLarge {
			t.Errorf("a long reason: %v", err)
		}
	})
}
