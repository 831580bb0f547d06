-- A runtime with a queue of its own chooses the machine.
ALTER TABLE jobs ADD COLUMN machine TEXT;

PRAGMA user_version = 10;
