-- Copies of other servers' files, which nobody here uploaded, by when they were
-- last looked at.
CREATE INDEX media_copies ON media (used, origin, size) WHERE usr = '' AND quarantined_by = '';

-- Bytes in the blob store that are about to be something's, or are nothing's any
-- more. Whatever is here after a crash is removed if it is nothing's.
CREATE TABLE blob_litter (
	hash TEXT NOT NULL,
	PRIMARY KEY (hash)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
