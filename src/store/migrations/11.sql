-- An array whose tasks differ in their index alone is one row, until somebody looks.
ALTER TABLE submissions ADD COLUMN folded INTEGER;
ALTER TABLE submissions ADD COLUMN claim TEXT;
ALTER TABLE submissions ADD COLUMN progress TEXT;
CREATE INDEX submission_folded ON submissions (number) WHERE folded IS NOT NULL;

PRAGMA user_version = 11;
