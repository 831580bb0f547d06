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

-- Reservations that are over are many.
CREATE INDEX submission_in_reservation ON submissions (reservation)
    WHERE unsettled > 0 AND reservation IS NOT NULL;
CREATE INDEX mail_claimed ON mails (claim) WHERE claim IS NOT NULL;

PRAGMA user_version = 8;
