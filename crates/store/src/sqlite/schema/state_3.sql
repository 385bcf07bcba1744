-- Companies that are hidden, each with the job that removes it. Their numbers stay when everything else is removed, so
-- that nothing is ever written for one again.
CREATE TABLE gone (
    company INTEGER PRIMARY KEY,
    job     TEXT    NOT NULL
);
