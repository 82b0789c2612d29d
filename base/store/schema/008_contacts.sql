-- The room in which the server talks to a user (client-server-api/#server-notices).
CREATE TABLE notice_rooms (
	usr TEXT NOT NULL PRIMARY KEY,
	room_id TEXT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX notice_rooms_room ON notice_rooms (room_id);

-- What users reported (client-server-api/#reporting-content). kind is "event",
-- "room" or "user".
CREATE TABLE reports (
	id BIGINT PRIMARY KEY,
	kind TEXT NOT NULL,
	reporter TEXT NOT NULL,
	room_id TEXT NOT NULL,
	event_id TEXT NOT NULL,
	target TEXT NOT NULL, -- the user who was reported, or sent the event
	reason TEXT NOT NULL,
	score BIGINT, -- NULL for none
	at BIGINT NOT NULL -- ms
);
CREATE INDEX reports_kind ON reports (kind, id);

-- Proofs of who somebody is, for services outside (client-server-api/#openid).
CREATE TABLE openid_tokens (
	hash BYTEA NOT NULL PRIMARY KEY,
	usr TEXT NOT NULL,
	expires BIGINT NOT NULL -- ms
);
CREATE INDEX openid_tokens_expires ON openid_tokens (expires);
