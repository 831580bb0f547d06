-- Every user has names of his own; users are told apart by their numbers, -1 being nobody.
ALTER TABLE sessions ADD COLUMN owner_uid INTEGER NOT NULL DEFAULT -1;
ALTER TABLE reservation_sessions ADD COLUMN owner_uid INTEGER NOT NULL DEFAULT -1;
ALTER TABLE reservations ADD COLUMN owner_uid INTEGER NOT NULL DEFAULT -1;
ALTER TABLE submissions ADD COLUMN owner_uid INTEGER NOT NULL DEFAULT -1;
UPDATE submissions SET owner_uid = coalesce(json_extract(submitter, '$.uid'), -1);
DROP INDEX session_by_name;
CREATE UNIQUE INDEX session_by_name ON sessions (name, owner_uid) WHERE destroyed = 0;
DROP INDEX reservation_session_by_name;
CREATE UNIQUE INDEX reservation_session_by_name ON reservation_sessions (name, owner_uid) WHERE destroyed = 0;
ALTER TABLE pools ADD COLUMN user_slots INTEGER;

PRAGMA user_version = 12;
