-- What operators keep.
CREATE TABLE blocked_rooms (
	room_id TEXT NOT NULL PRIMARY KEY,
	usr TEXT NOT NULL, -- who blocked it
	at BIGINT NOT NULL -- ms
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Work that an operator asked for and that takes its time. It goes on after a
-- restart, from the beginning: each kind may be done twice.
CREATE TABLE jobs (
	id TEXT NOT NULL PRIMARY KEY,
	kind TEXT NOT NULL,
	target TEXT NOT NULL, -- a room or a user
	status TEXT NOT NULL, -- 'active', 'complete' or 'failed'
	at BIGINT NOT NULL, -- ms
	request BYTEA NOT NULL, -- JSON, of the kind
	result BYTEA NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX jobs_target ON jobs (target, at);
CREATE INDEX events_outliers ON events (room) WHERE ord IS NULL;

-- What operators allow a user: requests per second (NULL for what everybody may,
-- 0 for any number), with so many at once.
ALTER TABLE users ADD COLUMN rate BIGINT;
ALTER TABLE users ADD COLUMN burst BIGINT NOT NULL DEFAULT 0;

-- Lists of users are read in these orders, a page at a time.
CREATE INDEX users_created ON users (created, usr);

-- Invitations that users of this server sent (kind 1) and rooms that they joined
-- (kind 2), at their own time in ms. Written by the indexer of package search.
CREATE TABLE member_acts (
	usr TEXT NOT NULL,
	kind BIGINT NOT NULL,
	at BIGINT NOT NULL,
	event BIGINT NOT NULL,
	room BIGINT NOT NULL,
	PRIMARY KEY (usr, kind, at, event)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Files that were hidden from everybody, or shown again, in that order.
CREATE TABLE quarantine_changes (
	pos BIGINT PRIMARY KEY,
	origin TEXT NOT NULL,
	id TEXT NOT NULL,
	quarantined BOOLEAN NOT NULL
);
