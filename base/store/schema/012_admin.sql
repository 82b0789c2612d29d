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
