package steward

import (
	"context"
	"math"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// maxTasks bounds the jobs that are listed.
const maxTasks = 1000

// Task is a job as a list shows it.
type Task struct {
	Job
	Kind string // "delete", "purge" or "redact"
	At   int64  // ms
}

// Tasks lists jobs, the newest first. Empty strings stand for all, as does 0 for
// before, a time in ms.
func (s *Steward) Tasks(ctx context.Context, kind, target, status string, before int64) (tasks []Task, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.ListJobs(tx, kind, target, status, before, maxTasks)
		for _, j := range rows {
			tasks = append(tasks, Task{Job{j.ID, j.Status, j.Target, j.Result}, j.Kind, j.At})
		}
		return err
	})
	return tasks, err
}

// MediaIn returns the addresses of all files that events of a room name in the
// open, the newest first. It reads the whole history.
func (s *Steward) MediaIn(ctx context.Context, r *room.Room) (uris []string, err error) {
	seen := map[string]bool{}
	for from := int64(math.MaxInt64); ; {
		events, err := s.Rooms.Before(ctx, r, from, math.MinInt64, redactPage)
		if err != nil || len(events) == 0 {
			return uris, err
		}
		from = events[len(events)-1].Ord
		for _, ev := range events {
			file, _ := canonjson.GetString(ev.Content, "url")
			info, _ := canonjson.Get(ev.Content, "info")
			small, _ := canonjson.GetString(info, "thumbnail_url")
			for _, uri := range []string{file, small} {
				if uri != "" && !seen[uri] {
					seen[uri] = true
					uris = append(uris, uri)
				}
			}
		}
	}
}
