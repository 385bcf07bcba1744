-- What the events of one UTC day are found by. Everything here can be derived from the log again.
CREATE TABLE runs (
    run    INTEGER PRIMARY KEY AUTOINCREMENT,
    events INTEGER NOT NULL
);

-- Positions of a company's events by the hash of a value, in runs that were written at once.
CREATE TABLE postings (
    run     INTEGER NOT NULL,
    company INTEGER NOT NULL,
    key     INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    seqs    BLOB    NOT NULL,
    PRIMARY KEY (run, company, key)
) WITHOUT ROWID;

-- Which positions of each company are indexed here.
CREATE TABLE covered (
    company INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (company, first)
) WITHOUT ROWID;
