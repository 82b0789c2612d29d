-- What finds events again: relations, words, times.

-- Which event says that it belongs to which other: a row per event whose
-- m.relates_to has a rel_type, until it is redacted. parent is an id, because
-- that event need not be known here. annotation is a hash of the key of an
-- m.annotation, empty for the rest.
CREATE TABLE relations (
	parent TEXT NOT NULL,
	rel_type TEXT NOT NULL,
	ord BIGINT NOT NULL,
	event BIGINT NOT NULL,
	room BIGINT NOT NULL,
	sender TEXT NOT NULL,
	type TEXT NOT NULL,
	annotation BYTEA NOT NULL,
	PRIMARY KEY (parent, rel_type, ord, event)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX relations_sender ON relations (parent, sender, rel_type, type, annotation);

-- last is the place of the newest event of the thread.
CREATE TABLE threads (
	root TEXT PRIMARY KEY,
	room BIGINT NOT NULL,
	last BIGINT NOT NULL,
	events BIGINT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX threads_room ON threads (room, last);

-- Whether there is any relation in the room: most need not be searched.
ALTER TABLE rooms ADD COLUMN related BOOLEAN NOT NULL DEFAULT FALSE;
