-- Events that are to be sent later (MSC4140). run_at is when; done is when it was
-- sent or given up, 0 before that.
CREATE TABLE delayed_events (
	id TEXT NOT NULL PRIMARY KEY,
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	txn TEXT NOT NULL,
	room_id TEXT NOT NULL,
	type TEXT NOT NULL,
	state_key TEXT,
	content BYTEA NOT NULL,
	sticky BIGINT NOT NULL, -- ms, 0 for what is not sticky
	ts BIGINT NOT NULL, -- ms, 0 for the time of sending
	delay BIGINT NOT NULL, -- ms
	scheduled BIGINT NOT NULL, -- ms
	run_at BIGINT NOT NULL, -- ms
	done BIGINT NOT NULL, -- ms
	event_id TEXT NOT NULL,
	error BYTEA NOT NULL -- JSON, '' for none
);
CREATE INDEX delayed_events_due ON delayed_events (run_at) WHERE done = 0;
CREATE INDEX delayed_events_usr ON delayed_events (usr, done);
CREATE INDEX delayed_events_done ON delayed_events (done);

-- Events that are sticky (MSC4354), until a time.
CREATE TABLE sticky_events (
	nid BIGINT NOT NULL PRIMARY KEY,
	room BIGINT NOT NULL,
	usr TEXT NOT NULL,
	until BIGINT NOT NULL -- ms
);
CREATE INDEX sticky_events_room ON sticky_events (room, nid);
CREATE INDEX sticky_events_usr ON sticky_events (room, usr, nid);
CREATE INDEX sticky_events_until ON sticky_events (until);
