-- Events of one retention class and one UTC day. pos = company << 40 | seq, so each company's rows lie together.
CREATE TABLE events (
    pos           INTEGER PRIMARY KEY,
    accepted_at   INTEGER NOT NULL,
    random        BLOB    NOT NULL,
    name          TEXT    NOT NULL,
    site          TEXT,
    terminal      TEXT,
    entity_id     TEXT,
    occurred_at   INTEGER,
    business_date TEXT,
    caller_id     TEXT,
    correlation   TEXT,
    data          TEXT    NOT NULL
);

-- Idempotency ids in the order they came, so that a commit writes one page of them and not one each.
CREATE TABLE fresh_ids (
    n           INTEGER PRIMARY KEY,
    hash        BLOB    NOT NULL,
    pos         INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL
);

-- Older idempotency ids in sorted runs, each with a filter that tells which ids are surely not in it.
CREATE TABLE id_runs (
    run    INTEGER PRIMARY KEY,
    filter BLOB NOT NULL
);
CREATE TABLE old_ids (
    run         INTEGER NOT NULL,
    hash        BLOB    NOT NULL,
    pos         INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    PRIMARY KEY (run, hash)
) WITHOUT ROWID;
