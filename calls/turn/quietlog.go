package turn

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/logging"
)

// quietLog passes pion's log lines on as debug messages, a few per second.
// pion calls errors what any stranger can cause with one packet, and a log
// that a stranger can fill is a disk that a stranger can fill.
type quietLog struct {
	log *slog.Logger

	mu      sync.Mutex
	second  int64
	lines   int
	skipped int
}

const linesPerSecond = 10

func newQuietLog(log *slog.Logger) logging.LoggerFactory { return &quietLog{log: log} }

// NewLogger implements pion's LoggerFactory.
func (q *quietLog) NewLogger(string) logging.LeveledLogger { return q }

func (q *quietLog) line(level, text string) {
	if !q.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now().Unix(); now != q.second {
		q.second, q.lines = now, 0
	}
	if q.lines++; q.lines > linesPerSecond {
		q.skipped++
		return
	}
	q.log.Debug("pion/turn", "level", level, "text", text, "skipped", q.skipped)
	q.skipped = 0
}

func (q *quietLog) linef(level, format string, args []any) {
	if q.log.Enabled(context.Background(), slog.LevelDebug) {
		q.line(level, fmt.Sprintf(format, args...))
	}
}

func (q *quietLog) Trace(string)                   {}
func (q *quietLog) Tracef(string, ...any)          {}
func (q *quietLog) Debug(msg string)               { q.line("debug", msg) }
func (q *quietLog) Debugf(format string, a ...any) { q.linef("debug", format, a) }
func (q *quietLog) Info(msg string)                { q.line("info", msg) }
func (q *quietLog) Infof(format string, a ...any)  { q.linef("info", format, a) }
func (q *quietLog) Warn(msg string)                { q.line("warn", msg) }
func (q *quietLog) Warnf(format string, a ...any)  { q.linef("warn", format, a) }
func (q *quietLog) Error(msg string)               { q.line("error", msg) }
func (q *quietLog) Errorf(format string, a ...any) { q.linef("error", format, a) }
