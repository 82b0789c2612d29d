-- How people prove who they are.

-- One login each, as SHA-256 like all tokens.
CREATE TABLE login_tokens (
	hash BYTEA PRIMARY KEY,
	usr TEXT NOT NULL,
	expires BIGINT NOT NULL -- ms
);
CREATE INDEX login_tokens_expires ON login_tokens (expires);

-- Mail addresses ('email') and phone numbers ('msisdn') that belong to a user.
CREATE TABLE threepids (
	medium TEXT NOT NULL,
	address TEXT NOT NULL, -- as matrix/mxid writes it: lower case
	usr TEXT NOT NULL,
	validated BIGINT NOT NULL, -- ms
	added BIGINT NOT NULL, -- ms
	PRIMARY KEY (medium, address)
);
CREATE INDEX threepids_usr ON threepids (usr, medium, address);

-- Who a user is to an identity provider.
CREATE TABLE external_ids (
	provider TEXT NOT NULL,
	external_id TEXT NOT NULL,
	usr TEXT NOT NULL,
	PRIMARY KEY (provider, external_id)
);
CREATE INDEX external_ids_usr ON external_ids (usr, provider, external_id);

-- Proofs of a mail address or a phone number that are under way, or done and not yet used.
CREATE TABLE threepid_sessions (
	sid TEXT PRIMARY KEY,
	purpose TEXT NOT NULL, -- 'register', 'password' or 'add'
	medium TEXT NOT NULL,
	address TEXT NOT NULL,
	secret TEXT NOT NULL, -- the client's
	attempt BIGINT NOT NULL,
	next_link TEXT NOT NULL,
	token BYTEA NOT NULL, -- SHA-256
	validated BIGINT NOT NULL, -- ms, 0 for not yet
	expires BIGINT NOT NULL, -- ms
	tries BIGINT NOT NULL, -- wrong tokens
	UNIQUE (purpose, medium, address, secret)
);
CREATE INDEX threepid_sessions_expires ON threepid_sessions (expires);
