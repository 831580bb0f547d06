-- What the call was named that made a session, if its answer can be lost and it can be made again.
ALTER TABLE sessions ADD COLUMN made_as TEXT;
ALTER TABLE reservation_sessions ADD COLUMN made_as TEXT;

PRAGMA user_version = 14;
