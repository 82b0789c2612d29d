-- Bytes in the blob store that are about to be something's, or are nothing's any
-- more. Whatever is here after a crash is removed if it is nothing's.
CREATE TABLE blob_litter (
	hash TEXT NOT NULL,
	PRIMARY KEY (hash)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
