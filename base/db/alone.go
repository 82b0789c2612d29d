package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// InUseError means that another Hearth has this PostgreSQL database.
type InUseError struct{ PID, From, Since string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("the PostgreSQL database is in use by another Hearth (session %s from %s since %s); stop that one, or write another storage.database", e.PID, e.From, e.Since)
}

// Is: to those whose server was robbed of its database while it could not be
// reached, it still cannot be reached.
func (e *InUseError) Is(target error) bool { return target == ErrAway }

// claim takes the lock that a Hearth holds on its schema for as long as the
// writer's connection lives: what servers remember of rooms would not be true if
// there were two. PostgreSQL gives the lock back when the connection ends.
func claim(ctx context.Context, c *pgx.Conn, patience time.Duration) error {
	_, err := c.Exec(ctx, fmt.Sprintf(`
		SET lock_timeout = %d;
		SELECT pg_advisory_lock(`+lockKey+`);
		SET lock_timeout = DEFAULT`, patience.Milliseconds()), pgx.QueryExecModeSimpleProtocol)
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != lockNotAvailable {
		return err
	}
	other := &InUseError{"unknown", "an unknown place", "an unknown time"}
	err = c.QueryRow(ctx, `
		SELECT a.pid::text, COALESCE(host(a.client_addr), 'this machine'), to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()
			AND (l.classid::bigint << 32 | l.objid::bigint) = `+lockKey).Scan(&other.PID, &other.From, &other.Since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return other
}

const (
	// lockKey is a number of its own for each schema of a database.
	lockKey = `hashtextextended('hearth ' || current_schema(), 0)`
	// lockNotAvailable is SQLSTATE 55P03, lock_not_available.
	lockNotAvailable = "55P03"
)
