-- Version 1. Times are milliseconds since the epoch; states are numbers of `drmaa2_jstate`.

CREATE TABLE sessions (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    contact   TEXT,
    -- A destroyed session stays until its last job has ended and is cleaned up.
    destroyed INTEGER NOT NULL DEFAULT 0
);
-- A destroyed name may be used again at once.
CREATE UNIQUE INDEX session_by_name ON sessions (name) WHERE destroyed = 0;

CREATE TABLE jobs (
    -- The order of submission.
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    session     INTEGER NOT NULL REFERENCES sessions (id),
    name        TEXT,
    -- JSON: which runtime, what was asked for, by whom, on which files.
    target      TEXT NOT NULL,
    template    TEXT NOT NULL,
    submitter   TEXT NOT NULL,
    stdio       TEXT NOT NULL,

    state       INTEGER NOT NULL,
    -- The process that admitted the job and starts it, see claim.rs.
    claim       TEXT,
    -- Somebody asked for its end.
    terminate   INTEGER NOT NULL DEFAULT 0,
    -- The runtime, or the state directory, may still hold something of it.
    leftovers   INTEGER NOT NULL DEFAULT 0,
    -- Forgotten by its user; the row goes with the leftovers.
    reaped      INTEGER NOT NULL DEFAULT 0,

    submitted   INTEGER NOT NULL,
    dispatched  INTEGER,
    finished    INTEGER,
    exit_status INTEGER,
    signal      INTEGER,
    annotation  TEXT,
    cpu_time    INTEGER,
    max_rss     INTEGER
);
CREATE INDEX job_by_session ON jobs (session, number);
-- What a tracker that has just connected looks through.
CREATE INDEX job_unsettled ON jobs (target) WHERE state NOT IN (7, 8) OR leftovers = 1;

PRAGMA user_version = 1;
