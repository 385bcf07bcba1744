-- What outlives dropped segments.
CREATE TABLE companies (
    company INTEGER PRIMARY KEY,
    head    INTEGER NOT NULL,
    head_at INTEGER NOT NULL,
    floor   INTEGER NOT NULL
);

-- Segments whose spans are listed here; of the others the segment itself is asked.
CREATE TABLE segments (
    day   INTEGER NOT NULL,
    class INTEGER NOT NULL,
    PRIMARY KEY (day, class)
) WITHOUT ROWID;

CREATE TABLE spans (
    company INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    class   INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (company, day, class)
) WITHOUT ROWID;
CREATE INDEX spans_of_segment ON spans (day, class);
