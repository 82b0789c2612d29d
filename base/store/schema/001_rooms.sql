-- Numbers called nid are stream positions: rooms, events, state keys and state
-- packs all take theirs from the one sequence, so a greater nid is always the
-- later thing.

CREATE TABLE rooms (
	nid BIGINT PRIMARY KEY,
	room_id TEXT NOT NULL UNIQUE,
	version TEXT NOT NULL,
	row_version BIGINT NOT NULL,
	state BIGINT NOT NULL,
	heads BYTEA NOT NULL,
	depth BIGINT NOT NULL,
	last_pos BIGINT NOT NULL,
	joined BIGINT NOT NULL,
	invited BIGINT NOT NULL,
	listed BOOLEAN NOT NULL DEFAULT FALSE,
	related BOOLEAN NOT NULL DEFAULT FALSE -- whether there is any relation: most need not be searched
);
CREATE INDEX rooms_listed ON rooms (listed, joined);

-- ord is the place in the room's timeline: the nid of events as they arrived,
-- negative for history fetched later, NULL for events that are known only
-- because others refer to them. state is the root before the event, state_after
-- the one after it; room_before and room_after are those of the room's current
-- state around the moment it came. NULL saves what is as usual: state_after equals
-- state for all but state events, the others differ only where a room has forks.
CREATE TABLE events (
	nid BIGINT PRIMARY KEY,
	room BIGINT NOT NULL,
	event_id TEXT NOT NULL UNIQUE,
	ord BIGINT,
	sk BIGINT,
	state BIGINT,
	state_after BIGINT,
	room_before BIGINT,
	room_after BIGINT,
	auth BYTEA,
	flags BIGINT NOT NULL,
	redacted_by BIGINT,
	txn BYTEA,
	json BYTEA NOT NULL
);
CREATE INDEX events_timeline ON events (room, ord) WHERE ord IS NOT NULL;
CREATE INDEX events_outliers ON events (room) WHERE ord IS NULL;

CREATE TABLE state_keys (
	nid BIGINT PRIMARY KEY,
	type TEXT NOT NULL,
	state_key TEXT NOT NULL,
	UNIQUE (type, state_key)
);

CREATE TABLE state_packs (
	nid BIGINT PRIMARY KEY,
	room BIGINT NOT NULL,
	blob BYTEA NOT NULL
);

CREATE TABLE current_state (
	room BIGINT NOT NULL,
	sk BIGINT NOT NULL,
	event BIGINT NOT NULL,
	PRIMARY KEY (room, sk)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- membership: 1 invite, 2 knock, 3 join, 4 leave, 5 ban.
CREATE TABLE memberships (
	usr TEXT NOT NULL,
	room BIGINT NOT NULL,
	membership BIGINT NOT NULL,
	event BIGINT NOT NULL,
	forgotten BOOLEAN NOT NULL DEFAULT FALSE,
	PRIMARY KEY (usr, room)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX memberships_room ON memberships (room, membership, event);

-- Which event a client's transaction made. key is a hash of the user, the
-- device, the endpoint and the transaction id.
CREATE TABLE txns (
	key BYTEA PRIMARY KEY,
	event BIGINT NOT NULL,
	at BIGINT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX txns_at ON txns (at);

CREATE TABLE aliases (
	alias TEXT PRIMARY KEY,
	room BIGINT NOT NULL,
	creator TEXT NOT NULL,
	at BIGINT NOT NULL
);
CREATE INDEX aliases_room ON aliases (room);

-- How far those have come who look at events behind their sending: 'push' for
-- pushers, 'search' for the tables of searches.
CREATE TABLE cursors (
	name TEXT NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
INSERT INTO cursors (name, pos) VALUES ('push', 0), ('search', 0);
