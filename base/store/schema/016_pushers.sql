-- Pushers that are switched off for a while (MSC3881).
ALTER TABLE pushers ADD COLUMN off BOOLEAN NOT NULL DEFAULT FALSE;
