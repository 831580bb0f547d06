-- Times are milliseconds since the epoch; states are numbers of `drmaa2_jstate`.

-- Numbers of sessions and reservations are never used again: handles and jobs refer to them.

CREATE TABLE sessions (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL,
    contact   TEXT,
    -- The user it was made for.
    owner     TEXT NOT NULL,
    owner_uid INTEGER NOT NULL,
    -- A destroyed session stays until its last job has ended and is cleaned up.
    destroyed INTEGER NOT NULL DEFAULT 0,
    -- What the call was named that made it, if its answer can be lost and it can be made again.
    made_as   TEXT
);
-- Every user has names of his own. A destroyed one may be used again at once.
CREATE UNIQUE INDEX session_by_name ON sessions (name, owner_uid) WHERE destroyed = 0;

-- The limits that jobs are submitted under; NULL is none. Slots and memory (kilobytes) are those of
-- the machine, user_slots those of one user.
CREATE TABLE pools (
    id          INTEGER PRIMARY KEY,
    slots       INTEGER,
    memory      INTEGER,
    queue       TEXT NOT NULL,
    queue_slots INTEGER,
    user_slots  INTEGER
);

-- What one call submits: a job, or a job array.
CREATE TABLE submissions (
    -- The order of submission.
    number       INTEGER PRIMARY KEY,
    -- The id of the array, or of the job.
    id           TEXT NOT NULL UNIQUE,
    is_array     INTEGER NOT NULL,
    session      INTEGER NOT NULL REFERENCES sessions (id),
    name         TEXT,
    -- JSON: which runtime, what was asked for, by whom, on which files.
    target       TEXT NOT NULL,
    template     TEXT NOT NULL,
    submitter    TEXT NOT NULL,
    stdio        TEXT NOT NULL,
    -- JSON of the tracker: what was configured for them where they were submitted.
    settings     TEXT NOT NULL,
    owner        TEXT NOT NULL,
    owner_uid    INTEGER NOT NULL,
    machine      TEXT NOT NULL,
    submitted    INTEGER NOT NULL,

    pool         INTEGER NOT NULL REFERENCES pools (id),
    -- The priority of its queue, which comes before its own.
    rank         INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    min_slots    INTEGER NOT NULL,
    max_slots    INTEGER NOT NULL,
    memory       INTEGER NOT NULL,
    -- NULL is no limit.
    max_parallel INTEGER,
    start_time   INTEGER,
    wall_clock   INTEGER,
    reservation  INTEGER REFERENCES reservations (number),
    -- What runs then is ended, and what waits fails.
    deadline     INTEGER,
    -- A job that its runtime loses runs again.
    rerunnable   INTEGER NOT NULL,
    accounting_id TEXT,
    -- Mails are sent at the start, and at the end, of its jobs.
    mail_started INTEGER NOT NULL,
    mail_ended   INTEGER NOT NULL,
    -- JSON: the program that sends them, and whose it is.
    mailer       TEXT,
    -- The first and the last index of an array, and its step.
    first_task   INTEGER,
    last_task    INTEGER,
    task_step    INTEGER,

    -- How many of its jobs may be admitted, how many hold slots, and about how many there is something
    -- to do yet; kept by the triggers below.
    waiting      INTEGER NOT NULL DEFAULT 0,
    active       INTEGER NOT NULL DEFAULT 0,
    unsettled    INTEGER NOT NULL DEFAULT 0,

    -- The state of its tasks as long as they have no rows, see fold.rs; and their claim and progress.
    folded       INTEGER,
    claim        TEXT,
    progress     TEXT
);
CREATE INDEX submission_folded ON submissions (number) WHERE folded IS NOT NULL;
CREATE INDEX submission_by_session ON submissions (session, number);
CREATE INDEX submission_by_turn ON submissions (rank DESC, priority DESC, number) WHERE waiting > 0;
CREATE INDEX submission_by_pool ON submissions (pool) WHERE waiting > 0;
CREATE INDEX submission_by_start ON submissions (start_time) WHERE waiting > 0 AND start_time IS NOT NULL;
CREATE INDEX submission_unsettled ON submissions (target) WHERE unsettled > 0;
CREATE INDEX submission_by_deadline ON submissions (deadline) WHERE unsettled > 0 AND deadline IS NOT NULL;
CREATE INDEX submission_by_reservation ON submissions (reservation) WHERE reservation IS NOT NULL;
-- Reservations that are over are many.
CREATE INDEX submission_in_reservation ON submissions (reservation)
    WHERE unsettled > 0 AND reservation IS NOT NULL;

-- What is stored of the jobs of each user, kept by the triggers: with a limit, a submission needs it at once.
CREATE TABLE stored (
    owner_uid INTEGER PRIMARY KEY,
    jobs      INTEGER NOT NULL,
    -- Of what was asked for.
    bytes     INTEGER NOT NULL
);
CREATE TRIGGER submission_stored AFTER INSERT ON submissions BEGIN
    INSERT INTO stored (owner_uid, jobs, bytes)
    VALUES (NEW.owner_uid, coalesce((NEW.last_task - NEW.first_task) / NEW.task_step + 1, 1),
        length(CAST(NEW.template AS BLOB)) + length(CAST(NEW.stdio AS BLOB)))
    ON CONFLICT (owner_uid) DO UPDATE SET jobs = jobs + excluded.jobs, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER submission_gone AFTER DELETE ON submissions BEGIN
    UPDATE stored
    SET jobs = jobs - coalesce((OLD.last_task - OLD.first_task) / OLD.task_step + 1, 1),
        bytes = bytes - length(CAST(OLD.template AS BLOB)) - length(CAST(OLD.stdio AS BLOB))
    WHERE owner_uid = OLD.owner_uid;
END;

CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    submission  INTEGER NOT NULL REFERENCES submissions (number),
    -- Its place in an array.
    task        INTEGER,
    -- JSON: its own files, where the array's are a pattern.
    stdio       TEXT,

    state       INTEGER NOT NULL,
    -- What is being done for it, see life.rs.
    phase       INTEGER NOT NULL DEFAULT 0,
    -- The process that works on it: makes it ready, starts it, cleans up. See claim.rs.
    claim       TEXT,
    -- Somebody asked for its end: 1 to terminate it, 2 to kill it.
    terminate   INTEGER NOT NULL DEFAULT 0,
    -- Somebody wants to hold it while it is being started, see hold.rs.
    hold        INTEGER NOT NULL DEFAULT 0,
    -- How many of its starts were withdrawn.
    withdrawn   INTEGER NOT NULL DEFAULT 0,
    -- The runtime, or the state directory, may still hold something of it: 1, or 2 if its removal failed too
    -- often, so that it is left to who opens next.
    leftovers   INTEGER NOT NULL DEFAULT 0,
    -- Forgotten by its user; the row goes with the leftovers.
    reaped      INTEGER NOT NULL DEFAULT 0,
    -- How often it could not be started for a reason that may pass.
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- How many of its runs were lost.
    losses      INTEGER NOT NULL DEFAULT 0,

    -- What its start waits for, and how far that is, in words.
    progress    TEXT,

    -- What it was given.
    slots       INTEGER,
    -- The machine that it runs on, if that is not the one it was submitted from.
    machine     TEXT,
    -- The start of its first run, and of its last.
    dispatched  INTEGER,
    started     INTEGER,
    -- When it was suspended or resumed last, in nanoseconds, see life.rs.
    switched    INTEGER NOT NULL DEFAULT 0,
    finished    INTEGER,
    exit_status INTEGER,
    signal      INTEGER,
    annotation  TEXT,
    image         TEXT,
    image_digest  TEXT,
    cpu_time      INTEGER,
    max_rss       INTEGER,
    oom_killed    INTEGER NOT NULL DEFAULT 0,
    peak_memory   INTEGER,
    start_memory  INTEGER,
    read_bytes    INTEGER,
    written_bytes INTEGER
);
CREATE INDEX job_by_submission ON jobs (submission, number);
CREATE INDEX job_waiting ON jobs (submission, phase DESC, number) WHERE state IN (1, 5) AND phase IN (0, 1);
CREATE INDEX job_active ON jobs (submission, slots, started) WHERE phase = 2;
-- What somebody has still to do something about.
CREATE INDEX job_unsettled ON jobs (submission, number) WHERE state NOT IN (7, 8) OR leftovers = 1;
CREATE INDEX job_suspended ON jobs (submission) WHERE state = 4 AND phase IN (2, 4);
-- Those are few.
CREATE INDEX job_given_up ON jobs (submission) WHERE leftovers = 2;
CREATE INDEX job_gone ON jobs (number) WHERE reaped = 1 AND leftovers = 0;
CREATE INDEX job_claimed ON jobs (claim) WHERE claim IS NOT NULL;

CREATE TRIGGER job_added AFTER INSERT ON jobs BEGIN
    UPDATE submissions
    SET waiting = waiting + (NEW.state IN (1, 5) AND NEW.phase IN (0, 1)),
        active = active + (NEW.phase = 2),
        unsettled = unsettled + (NEW.state NOT IN (7, 8) OR NEW.leftovers = 1)
    WHERE number = NEW.submission;
END;
CREATE TRIGGER job_moved AFTER UPDATE OF state, phase, leftovers ON jobs
    WHEN (OLD.state IN (1, 5) AND OLD.phase IN (0, 1)) <> (NEW.state IN (1, 5) AND NEW.phase IN (0, 1))
        OR (OLD.phase = 2) <> (NEW.phase = 2)
        OR (OLD.state NOT IN (7, 8) OR OLD.leftovers = 1) <> (NEW.state NOT IN (7, 8) OR NEW.leftovers = 1)
BEGIN
    UPDATE submissions
    SET waiting = waiting + (NEW.state IN (1, 5) AND NEW.phase IN (0, 1))
            - (OLD.state IN (1, 5) AND OLD.phase IN (0, 1)),
        active = active + (NEW.phase = 2) - (OLD.phase = 2),
        unsettled = unsettled + (NEW.state NOT IN (7, 8) OR NEW.leftovers = 1)
            - (OLD.state NOT IN (7, 8) OR OLD.leftovers = 1)
    WHERE number = NEW.submission;
END;
-- Nobody will reap a job whose session is gone.
CREATE TRIGGER job_forgotten AFTER UPDATE OF state, leftovers ON jobs
    WHEN NEW.state IN (7, 8) AND NEW.leftovers = 0 AND NEW.reaped = 0 AND EXISTS
        (SELECT 1 FROM submissions b JOIN sessions s ON s.id = b.session
         WHERE b.number = NEW.submission AND s.destroyed = 1)
BEGIN
    UPDATE jobs SET reaped = 1 WHERE number = NEW.number;
END;
CREATE TRIGGER job_removed AFTER DELETE ON jobs BEGIN
    UPDATE submissions
    SET waiting = waiting - (OLD.state IN (1, 5) AND OLD.phase IN (0, 1)),
        active = active - (OLD.phase = 2),
        unsettled = unsettled - (OLD.state NOT IN (7, 8) OR OLD.leftovers = 1)
    WHERE number = OLD.submission;
END;

-- Mails that somebody has to send, see mails.rs.
CREATE TABLE mails (
    number  INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL,
    -- About its start, else about its end.
    started INTEGER NOT NULL,
    -- Who is sending it now.
    claim   TEXT,
    -- How often that was tried, when it may be tried again, and why it could not be sent.
    attempts INTEGER NOT NULL DEFAULT 0,
    due     INTEGER NOT NULL DEFAULT 0,
    error   TEXT
);
CREATE INDEX mail_by_job ON mails (job);
CREATE INDEX mail_by_time ON mails (due, started DESC, number);
CREATE INDEX mail_claimed ON mails (claim) WHERE claim IS NOT NULL;
CREATE TRIGGER job_has_started AFTER UPDATE OF dispatched ON jobs
    WHEN OLD.dispatched IS NULL AND NEW.dispatched IS NOT NULL
        AND (SELECT mail_started FROM submissions WHERE number = NEW.submission)
BEGIN
    INSERT INTO mails (job, started) VALUES (NEW.number, 1);
END;
CREATE TRIGGER job_has_ended AFTER UPDATE OF state ON jobs
    WHEN NEW.state IN (7, 8) AND OLD.state NOT IN (7, 8)
        AND (SELECT mail_ended FROM submissions WHERE number = NEW.submission)
BEGIN
    INSERT INTO mails (job, started) VALUES (NEW.number, 0);
END;
CREATE TRIGGER job_never_waited AFTER INSERT ON jobs
    WHEN NEW.state IN (7, 8) AND (SELECT mail_ended FROM submissions WHERE number = NEW.submission)
BEGIN
    INSERT INTO mails (job, started) VALUES (NEW.number, 0);
END;

-- Processes that are told of the states of jobs, and the last event that each has taken; see events.rs.
CREATE TABLE listeners (
    claim TEXT PRIMARY KEY,
    seen  INTEGER NOT NULL
);
-- The states that jobs have come into, in order and without gaps, until every listener has taken them.
CREATE TABLE events (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    job     TEXT NOT NULL,
    session INTEGER NOT NULL,
    state   INTEGER NOT NULL
);
CREATE TRIGGER job_is_new AFTER INSERT ON jobs WHEN EXISTS (SELECT 1 FROM listeners) BEGIN
    INSERT INTO events (job, session, state)
    SELECT NEW.id, session, NEW.state FROM submissions WHERE number = NEW.submission;
END;
CREATE TRIGGER job_changes AFTER UPDATE OF state ON jobs
    WHEN OLD.state <> NEW.state AND EXISTS (SELECT 1 FROM listeners)
BEGIN
    INSERT INTO events (job, session, state)
    SELECT NEW.id, session, NEW.state FROM submissions WHERE number = NEW.submission;
END;
-- A listener that is stopped, or whose callback hangs, must not fill the disk: it loses the oldest.
CREATE TRIGGER events_are_many AFTER INSERT ON events WHEN NEW.number % 10000 = 0 BEGIN
    DELETE FROM events WHERE number <= NEW.number - 1000000;
END;

-- The last changes of the states of jobs, see changes.rs. A job without a state is reaped.
CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    job    TEXT NOT NULL,
    state  INTEGER
);
CREATE TRIGGER job_has_news AFTER UPDATE OF state, reaped ON jobs
    WHEN OLD.state <> NEW.state OR OLD.reaped <> NEW.reaped
BEGIN
    INSERT INTO changes (job, state) VALUES (NEW.id, CASE NEW.reaped WHEN 0 THEN NEW.state END);
END;
CREATE TRIGGER job_is_gone AFTER DELETE ON jobs WHEN OLD.reaped = 0 BEGIN
    INSERT INTO changes (job) VALUES (OLD.id);
END;
CREATE TRIGGER changes_are_many AFTER INSERT ON changes WHEN NEW.number % 1000 = 0 BEGIN
    DELETE FROM changes WHERE number <= NEW.number - 10000;
END;

CREATE TABLE reservation_sessions (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL,
    contact   TEXT,
    -- The user it was made for.
    owner     TEXT NOT NULL,
    owner_uid INTEGER NOT NULL,
    -- A destroyed session stays until its last reservation is over.
    destroyed INTEGER NOT NULL DEFAULT 0,
    -- What the call was named that made it, if its answer can be lost and it can be made again.
    made_as   TEXT
);
CREATE UNIQUE INDEX reservation_session_by_name ON reservation_sessions (name, owner_uid) WHERE destroyed = 0;

CREATE TABLE reservations (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    session    INTEGER NOT NULL REFERENCES reservation_sessions (id),
    -- JSON: on which runtime, what was asked for.
    target     TEXT NOT NULL,
    template   TEXT NOT NULL,
    owner      TEXT NOT NULL,
    owner_uid  INTEGER NOT NULL,
    machine    TEXT NOT NULL,
    -- JSON: the names of those who may use it.
    users      TEXT NOT NULL,

    -- Its window, the end not part of it. It is over when that has come.
    begins     INTEGER NOT NULL,
    ends       INTEGER NOT NULL,
    slots      INTEGER NOT NULL,
    memory     INTEGER NOT NULL,
    -- It was given up before its time; `ends` tells when.
    terminated INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX reservation_by_session ON reservations (session, number);
-- Those that are over are many and never looked for.
CREATE INDEX reservation_by_end ON reservations (ends);

PRAGMA user_version = 14;
