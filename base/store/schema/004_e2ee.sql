-- Keys of devices and users (client-server-api/#end-to-end-encryption). Keys are
-- kept as canonical JSON, without "unsigned".
CREATE TABLE device_keys (
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	keys BYTEA NOT NULL,
	PRIMARY KEY (usr, device)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Keys that are given away once, in the order of pos, in which they came.
CREATE TABLE one_time_keys (
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	algorithm TEXT NOT NULL,
	pos BIGINT NOT NULL,
	key_id TEXT NOT NULL,
	key BYTEA NOT NULL,
	PRIMARY KEY (usr, device, algorithm, pos),
	UNIQUE (usr, device, algorithm, key_id)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- What is given away when no other key is left, as often as asked.
CREATE TABLE fallback_keys (
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	algorithm TEXT NOT NULL,
	key_id TEXT NOT NULL,
	key BYTEA NOT NULL,
	used BOOLEAN NOT NULL,
	PRIMARY KEY (usr, device, algorithm)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- kind is "master", "self_signing" or "user_signing".
CREATE TABLE cross_signing_keys (
	usr TEXT NOT NULL,
	kind TEXT NOT NULL,
	public TEXT NOT NULL,
	keys BYTEA NOT NULL,
	PRIMARY KEY (usr, kind)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Signatures that came after the key. target is a device id or a public key of
-- usr; those of other signers than usr are for the signer's eyes only.
CREATE TABLE key_signatures (
	usr TEXT NOT NULL,
	target TEXT NOT NULL,
	signer TEXT NOT NULL,
	signer_key TEXT NOT NULL,
	signature TEXT NOT NULL,
	PRIMARY KEY (usr, target, signer, signer_key)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- When somebody's keys last changed. viewer is '' for changes that everybody
-- sees, else who alone does.
CREATE TABLE key_changes (
	usr TEXT NOT NULL,
	viewer TEXT NOT NULL,
	pos BIGINT NOT NULL,
	PRIMARY KEY (usr, viewer)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
CREATE INDEX key_changes_pos ON key_changes (pos);
