package steward

import (
	"fmt"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
	"hearth/matrix/mxerr"
)

// TestJobsAreBounded: an operator's script cannot pile up jobs without end, and
// one that did not fit does not run after a restart; lists of jobs end.
func TestJobsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		s := New(Config{DB: d}) // not started: nothing is done
		for i := range maxQueue {
			if _, err := s.begin(t.Context(), KindRedact, fmt.Sprintf("@u%d:test", i), struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.begin(t.Context(), KindRedact, "@late:test", struct{}{}); err == nil || mxerr.From(err).Code != mxerr.LimitExceeded {
			t.Errorf("one more than fit: %v", err)
		}
		if late, err := s.Jobs(t.Context(), "@late:test"); err != nil || len(late) != 1 || late[0].Status != "failed" {
			t.Errorf("the job that did not fit: %+v, %v", late, err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range maxTasks {
				j := store.Job{ID: fmt.Sprint(i), Kind: KindPurge, Target: "!r:test", Status: "complete", At: int64(i), Request: []byte("{}"), Result: []byte("{}")}
				if err := store.SetJob(tx, j); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := s.Tasks(t.Context(), "", "", "", 0); err != nil || len(all) != maxTasks {
			t.Errorf("a list of %d jobs, %v", len(all), err)
		}
	})
}
