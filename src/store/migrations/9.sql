-- Jobs of a runtime with a queue of its own are in phase 4.
DROP INDEX job_suspended;
CREATE INDEX job_suspended ON jobs (submission) WHERE state = 4 AND phase IN (2, 4);

PRAGMA user_version = 9;
