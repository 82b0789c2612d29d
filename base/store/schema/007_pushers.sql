-- Where notifications go when nobody looks.

-- id is the stream position at which the pusher came: events before it are not
-- its business.
CREATE TABLE pushers (
	id BIGINT PRIMARY KEY,
	usr TEXT NOT NULL,
	app TEXT NOT NULL,
	pushkey TEXT NOT NULL,
	kind TEXT NOT NULL, -- 'http', 'webpush' or 'email'
	app_name TEXT NOT NULL,
	device_name TEXT NOT NULL,
	profile TEXT NOT NULL,
	lang TEXT NOT NULL,
	data BYTEA NOT NULL, -- a JSON object
	device TEXT NOT NULL, -- of the session that set it
	off BOOLEAN NOT NULL DEFAULT FALSE, -- for a while (MSC3881)
	UNIQUE (usr, app, pushkey)
);
CREATE INDEX pushers_key ON pushers (app, pushkey);

-- What is on its way to a pusher, oldest first. tweaks is a JSON object.
CREATE TABLE push_queue (
	pusher BIGINT NOT NULL,
	event BIGINT NOT NULL,
	at BIGINT NOT NULL, -- ms
	tweaks BYTEA NOT NULL,
	PRIMARY KEY (pusher, event)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Threads that people follow or have stopped to follow (MSC4306). upto is the
-- newest event of the server when they stopped.
CREATE TABLE thread_subscriptions (
	usr TEXT NOT NULL,
	room BIGINT NOT NULL,
	root TEXT NOT NULL,
	pos BIGINT NOT NULL,
	subscribed BOOLEAN NOT NULL,
	automatic BOOLEAN NOT NULL,
	upto BIGINT NOT NULL,
	PRIMARY KEY (usr, room, root)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX thread_subscriptions_pos ON thread_subscriptions (usr, pos);
