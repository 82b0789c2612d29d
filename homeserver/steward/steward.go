// Package steward does to rooms and to what people said there what the operator
// of the server asks for: it lists them, keeps people out, closes and removes
// them, and takes back what somebody said. It acts beyond the power levels of a
// room only where it must, and does not know who may ask.
package steward

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hearth/base/contain"
	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/directory"
	"hearth/homeserver/room"
	"hearth/matrix/mxerr"
)

// Config is what a Steward needs from the rest of the server.
type Config struct {
	DB        *db.DB
	Rooms     *room.Engine
	Directory *directory.Directory
	Log       *slog.Logger
}

// Steward serves the operators of one server.
type Steward struct {
	Config

	blocked atomic.Pointer[map[string]string] // who blocked a room, by its id; nil before it was read

	queue chan store.Job
	stop  context.CancelFunc
	done  sync.WaitGroup
}

const (
	// maxQueue bounds the jobs that wait for their turn.
	maxQueue = 256
	// keepJobs is how long one can ask what became of a job.
	keepJobs = 7 * 24 * time.Hour
)

// New returns a Steward. Jobs are done between Start and Stop.
func New(c Config) *Steward {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Steward{Config: c, queue: make(chan store.Job, maxQueue)}
}

// Start goes on with the jobs that a restart cut short.
func (s *Steward) Start(ctx context.Context) {
	ctx, s.stop = context.WithCancel(ctx)
	contain.Work(ctx, &s.done, s.Log, "operators' jobs", s.run)
}

// Stop returns when no job runs any more. What is not done is done after the
// next Start.
func (s *Steward) Stop() {
	if s.stop != nil {
		s.stop()
		s.done.Wait()
	}
}

func (s *Steward) run(ctx context.Context) {
	var left []store.Job
	err := s.DB.Write(ctx, func(tx *db.Tx) (err error) {
		left, err = store.ActiveJobs(tx)
		if err != nil {
			return err
		}
		return store.DeleteJobsBefore(tx, time.Now().Add(-keepJobs).UnixMilli())
	})
	if err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "jobs from before the restart cannot be read", "err", err)
	}
	known := map[string]bool{}
	for _, j := range left {
		known[j.ID] = true
		s.do(ctx, j)
	}
	for {
		select {
		case j := <-s.queue:
			if !known[j.ID] {
				s.do(ctx, j)
			}
		case <-ctx.Done():
			return
		}
	}
}

// begin stores a job and hands it to the background. The error is
// M_LIMIT_EXCEEDED if too much is waiting.
func (s *Steward) begin(ctx context.Context, kind, target string, request any) (id string, err error) {
	raw, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	j := store.Job{ID: rand.Text(), Kind: kind, Target: target, Status: "active", At: time.Now().UnixMilli(), Request: raw, Result: []byte("{}")}
	if err := s.save(ctx, j); err != nil {
		return "", err
	}
	select {
	case s.queue <- j:
		return j.ID, nil
	default:
		j.Status = "failed"
		return "", errors.Join(mxerr.New(mxerr.LimitExceeded, "Too many jobs are waiting: try again later"), s.save(ctx, j))
	}
}

func (s *Steward) save(ctx context.Context, j store.Job) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error { return store.SetJob(tx, j) })
}

// do does a job. One that the server's end cuts short stays active.
func (s *Steward) do(ctx context.Context, j store.Job) {
	result, err := contain.Value(func() (any, error) {
		switch j.Kind {
		case KindDelete:
			return s.deleteJob(ctx, j)
		case KindPurge:
			return s.purgeJob(ctx, j)
		case KindRedact:
			return s.redactJob(ctx, j)
		}
		return nil, nil
	})
	if ctx.Err() != nil {
		return
	}
	j.Status = "complete"
	if err != nil {
		s.Log.ErrorContext(ctx, "an operator's job failed", "kind", j.Kind, "target", j.Target, "err", err)
		j.Status, result = "failed", map[string]string{"error": mxerr.From(err).Text}
	}
	if j.Result, err = json.Marshal(result); err == nil {
		err = s.save(ctx, j)
	}
	if err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "the end of a job cannot be stored", "kind", j.Kind, "err", err)
	}
}

// Job is how far a job is.
type Job struct {
	ID, Status string
	Target     string // a room or a user
	Result     json.RawMessage
}

// Job returns a job by its id, or M_NOT_FOUND.
func (s *Steward) Job(ctx context.Context, id string) (j Job, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		row, err := store.JobByID(tx, id)
		j = Job{row.ID, row.Status, row.Target, row.Result}
		return err
	})
	if errors.Is(err, db.ErrNoRow) || errors.Is(err, db.ErrText) {
		err = mxerr.New(mxerr.NotFound, "There is no such job")
	}
	return j, err
}

// Jobs returns the jobs on a room or a user.
func (s *Steward) Jobs(ctx context.Context, target string) (jobs []Job, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.JobsOf(tx, target)
		for _, row := range rows {
			jobs = append(jobs, Job{row.ID, row.Status, row.Target, row.Result})
		}
		return err
	})
	return jobs, err
}
