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

-- Events by their own time.
CREATE TABLE event_times (
	room BIGINT NOT NULL,
	at BIGINT NOT NULL,
	ord BIGINT NOT NULL,
	event BIGINT NOT NULL,
	PRIMARY KEY (room, at, ord)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Texts that can be searched. kind: 1 body of a message, 2 name and 3 topic of
-- a room. In SQLite search_words holds the words, and as words too the room and
-- the kind, so that the index itself narrows a search down.
CREATE TABLE search_docs (
	event BIGINT PRIMARY KEY,
	room BIGINT NOT NULL,
	words TSVECTOR NOT NULL, -- postgres:
	kind BIGINT NOT NULL
);
CREATE VIRTUAL TABLE search_words USING fts5(words, place, content='', contentless_delete=1); -- sqlite:
CREATE INDEX search_docs_words ON search_docs USING GIN (words); -- postgres:
CREATE INDEX search_docs_room ON search_docs (room, event); -- postgres:
