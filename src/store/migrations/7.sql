-- The first and the last index of an array, and its step.
ALTER TABLE submissions ADD COLUMN first_task INTEGER;
ALTER TABLE submissions ADD COLUMN last_task INTEGER;
ALTER TABLE submissions ADD COLUMN task_step INTEGER;

PRAGMA user_version = 7;
