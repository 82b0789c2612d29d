-- Files that users uploaded, and copies of other servers' files. hash names the bytes in the blob store, which many
-- files may share; it is empty for an id that waits for its upload.
CREATE TABLE media (
	origin TEXT NOT NULL,
	id TEXT NOT NULL,
	usr TEXT NOT NULL,
	created BIGINT NOT NULL, -- ms
	expires BIGINT NOT NULL, -- ms, of an id that waits; 0 for files
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	size BIGINT NOT NULL,
	hash TEXT NOT NULL,
	used BIGINT NOT NULL, -- ms, up to a day late
	quarantined_by TEXT NOT NULL,
	protected BOOLEAN NOT NULL, -- from quarantine
	fetched BOOLEAN NOT NULL, -- a copy of another server's
	PRIMARY KEY (origin, id)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX media_usr ON media (usr, created);
CREATE INDEX media_hash ON media (hash);
-- The copies that may go, those first that nobody has looked at for longest. It has
-- all that their sum needs.
CREATE INDEX media_fetched ON media (used, size, fetched, quarantined_by) WHERE fetched = TRUE AND quarantined_by = '';

-- Small pictures of files, by the bytes that they were made from.
CREATE TABLE thumbnails (
	source TEXT NOT NULL,
	width BIGINT NOT NULL,
	height BIGINT NOT NULL,
	method TEXT NOT NULL,
	type TEXT NOT NULL,
	size BIGINT NOT NULL,
	hash TEXT NOT NULL,
	PRIMARY KEY (source, width, height, method)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX thumbnails_hash ON thumbnails (hash);

-- Bytes in the blob store that are about to be something's, or are nothing's any
-- more. Whatever is here after a crash is removed if it is nothing's.
CREATE TABLE blob_litter (
	hash TEXT NOT NULL,
	PRIMARY KEY (hash)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Files that were hidden from everybody, or shown again, in that order.
CREATE TABLE quarantine_changes (
	pos BIGINT PRIMARY KEY,
	origin TEXT NOT NULL,
	id TEXT NOT NULL,
	quarantined BOOLEAN NOT NULL
);
