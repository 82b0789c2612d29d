-- Messages from device to device that were not fetched yet
-- (client-server-api/#send-to-device-messaging). A request leaves at most one for
-- a device, so that its position names the message. size is that of message, to
-- be summed up without reading it.
CREATE TABLE inbox (
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	pos BIGINT NOT NULL,
	size BIGINT NOT NULL,
	message BYTEA NOT NULL,
	PRIMARY KEY (usr, device, pos)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- The requests that left messages, by a hash of the sender and the transaction.
CREATE TABLE inbox_txns (
	key BYTEA NOT NULL PRIMARY KEY,
	at BIGINT NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX inbox_txns_at ON inbox_txns (at);

-- Versions of key backups (client-server-api/#server-side-key-backups). Those
-- that were deleted stay, so that no number comes again.
CREATE TABLE key_backups (
	usr TEXT NOT NULL,
	version BIGINT NOT NULL,
	algorithm TEXT NOT NULL,
	auth_data BYTEA NOT NULL,
	etag BIGINT NOT NULL,
	n BIGINT NOT NULL,
	deleted BOOLEAN NOT NULL,
	PRIMARY KEY (usr, version)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

CREATE TABLE backed_up_keys (
	usr TEXT NOT NULL,
	version BIGINT NOT NULL,
	room TEXT NOT NULL,
	session TEXT NOT NULL,
	first_index BIGINT NOT NULL,
	forwarded BIGINT NOT NULL,
	verified BOOLEAN NOT NULL,
	data BYTEA NOT NULL,
	PRIMARY KEY (usr, version, room, session)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- A device that collects messages while its user has none (MSC3814).
CREATE TABLE dehydrated_devices (
	usr TEXT NOT NULL PRIMARY KEY,
	device TEXT NOT NULL,
	data BYTEA NOT NULL
) WITHOUT ROWID; -- sqlite:
); -- postgres:
