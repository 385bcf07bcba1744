-- Attempts of one UTC day. A success is one compact row; what a receiver answered is kept of failures only.
CREATE TABLE attempts (
    integration INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    elapsed_ms  INTEGER NOT NULL,
    status      INTEGER,
    remaining   INTEGER NOT NULL,
    domain_key  INTEGER,
    name_hash   INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    PRIMARY KEY (integration, at, seq, number)
) WITHOUT ROWID;
CREATE INDEX attempts_of_event ON attempts (integration, seq);

CREATE TABLE failures (
    integration INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    cause       TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    answer      BLOB    NOT NULL,
    PRIMARY KEY (integration, at, seq, number)
) WITHOUT ROWID;
