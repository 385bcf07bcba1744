-- Version 4.

-- Companies that are hidden, each with the job that removes it. Their numbers stay when everything else is removed, so
-- that nothing is ever written for one again.
CREATE TABLE gone (
    company integer PRIMARY KEY,
    job     text    NOT NULL
);

-- A log that is closed for good; its row stays, so that nothing is ever appended to it again.
ALTER TABLE log_heads ADD COLUMN closed boolean NOT NULL DEFAULT false;
