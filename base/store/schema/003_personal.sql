-- What users keep for themselves and tell each other beside events.

-- thread is "" for receipts without a thread.
CREATE TABLE receipts (
	room BIGINT NOT NULL,
	kind TEXT NOT NULL,
	thread TEXT NOT NULL,
	usr TEXT NOT NULL,
	event_id TEXT NOT NULL,
	ord BIGINT NOT NULL,
	at BIGINT NOT NULL,
	pos BIGINT NOT NULL,
	PRIMARY KEY (room, kind, thread, usr)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX receipts_pos ON receipts (room, pos);
CREATE INDEX receipts_usr ON receipts (usr, room);

-- room is 0 for global account data. A deleted entry stays as {}, so that
-- clients that were away hear of it.
CREATE TABLE account_data (
	usr TEXT NOT NULL,
	room BIGINT NOT NULL,
	type TEXT NOT NULL,
	pos BIGINT NOT NULL,
	content BYTEA NOT NULL,
	deleted BOOLEAN NOT NULL,
	PRIMARY KEY (usr, room, type)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX account_data_pos ON account_data (usr, pos);

CREATE TABLE filters (
	usr TEXT NOT NULL,
	id BIGINT NOT NULL,
	hash BYTEA NOT NULL,
	filter BYTEA NOT NULL,
	PRIMARY KEY (usr, id),
	UNIQUE (usr, hash)
);

-- How many events of a room a user should be told of, up to the place upto in
-- its timeline and after what was read by the receipts up to position seen.
-- Later events are counted, and later receipts considered, when the user's
-- client asks. thread "main" is always there.
CREATE TABLE unread (
	usr TEXT NOT NULL,
	room BIGINT NOT NULL,
	thread TEXT NOT NULL,
	notify BIGINT NOT NULL,
	highlight BIGINT NOT NULL,
	upto BIGINT NOT NULL,
	seen BIGINT NOT NULL,
	PRIMARY KEY (usr, room, thread)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

CREATE TABLE presence (
	usr TEXT NOT NULL PRIMARY KEY,
	state TEXT NOT NULL,
	status TEXT,
	active_at BIGINT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
