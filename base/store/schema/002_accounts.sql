-- People of this server. Localparts of new users are lower case.
CREATE TABLE users (
	usr TEXT NOT NULL PRIMARY KEY, -- "@alice:example.org"
	created BIGINT NOT NULL, -- ms
	password TEXT NOT NULL, -- as auth/password writes it; '' if none
	admin BOOLEAN NOT NULL,
	guest BOOLEAN NOT NULL,
	kind TEXT NOT NULL, -- '', 'bot' or 'support'
	deactivated BOOLEAN NOT NULL,
	erased BOOLEAN NOT NULL,
	parting BOOLEAN NOT NULL, -- deactivated, but still in some rooms
	suspended BOOLEAN NOT NULL DEFAULT FALSE,
	locked BOOLEAN NOT NULL DEFAULT FALSE,
	shadow_banned BOOLEAN NOT NULL DEFAULT FALSE,
	consent TEXT NOT NULL DEFAULT '', -- version of the terms that the user agreed to
	consent_at BIGINT NOT NULL DEFAULT 0, -- ms
	expires BIGINT NOT NULL DEFAULT 0, -- ms, 0 for never
	-- Requests per second (NULL for what everybody may, 0 for any number), with so
	-- many at once.
	rate BIGINT,
	burst BIGINT NOT NULL DEFAULT 0
);
-- Lists of users are read in these orders, a page at a time.
CREATE INDEX users_created ON users (created, usr);
CREATE INDEX users_parting ON users (usr) WHERE parting;
CREATE INDEX users_erased ON users (usr) WHERE erased;

CREATE TABLE devices (
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	last_seen BIGINT NOT NULL, -- ms, up to some minutes late; 0 for never
	ip TEXT NOT NULL,
	agent TEXT NOT NULL DEFAULT '', -- what its program calls itself (the User-Agent of its last request, cut)
	PRIMARY KEY (usr, device)
);

-- Tokens are kept as SHA-256 only: a stolen database opens no account.
CREATE TABLE access_tokens (
	id BIGINT PRIMARY KEY,
	hash BYTEA NOT NULL UNIQUE,
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL, -- ms; 0 for never
	refresh BIGINT NOT NULL, -- id of the refresh token that came with it, or 0
	used BOOLEAN NOT NULL -- only kept up to date if refresh is not 0
);
CREATE INDEX access_tokens_owner ON access_tokens (usr, device);

CREATE TABLE refresh_tokens (
	id BIGINT PRIMARY KEY,
	hash BYTEA NOT NULL UNIQUE,
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	created BIGINT NOT NULL,
	successor BIGINT NOT NULL -- id of the refresh token that replaces it, or 0
);
CREATE INDEX refresh_tokens_owner ON refresh_tokens (usr, device);

CREATE TABLE profiles (
	usr TEXT NOT NULL,
	field TEXT NOT NULL, -- "displayname", "avatar_url", "m.tz", "org.example.pet"
	value TEXT NOT NULL, -- JSON
	PRIMARY KEY (usr, field)
);

CREATE TABLE registration_tokens (
	token TEXT NOT NULL PRIMARY KEY,
	uses_allowed BIGINT, -- NULL for any number
	completed BIGINT NOT NULL,
	expires BIGINT, -- ms; NULL for never
	created BIGINT NOT NULL
);
