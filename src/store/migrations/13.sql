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
INSERT INTO stored (owner_uid, jobs, bytes)
SELECT owner_uid, sum(coalesce((last_task - first_task) / task_step + 1, 1)),
    sum(length(CAST(template AS BLOB)) + length(CAST(stdio AS BLOB)))
FROM submissions GROUP BY owner_uid;

PRAGMA user_version = 13;
