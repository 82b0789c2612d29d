-- How far application services have been told (application-service-api/#pushing-events).
-- All up to pos is told. Transaction numbers from next on were never used. A
-- transaction that is on its way stands in txn, upto and body: it is sent again as it
-- was, also after a crash, until the service takes it; body is NULL while there is
-- none.
CREATE TABLE appservices (
	id TEXT NOT NULL PRIMARY KEY,
	pos BIGINT NOT NULL,
	next BIGINT NOT NULL,
	txn BIGINT NOT NULL,
	upto BIGINT NOT NULL,
	body BYTEA
);

-- Messages to devices of their users that they were not told of yet.
CREATE TABLE appservice_mail (
	service TEXT NOT NULL,
	pos BIGINT NOT NULL,
	usr TEXT NOT NULL,
	device TEXT NOT NULL,
	message BYTEA NOT NULL,
	PRIMARY KEY (service, pos, usr, device)
) WITHOUT ROWID; -- sqlite:
); -- postgres:

-- Rooms that they show in the directories of their networks.
CREATE TABLE appservice_rooms (
	service TEXT NOT NULL,
	network TEXT NOT NULL,
	room BIGINT NOT NULL,
	PRIMARY KEY (service, network, room)
) WITHOUT ROWID; -- sqlite:
); -- postgres:
