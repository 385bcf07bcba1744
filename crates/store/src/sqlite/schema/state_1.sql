CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE companies (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,
    external_id TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    retention   INTEGER NOT NULL,
    ingest_drop TEXT    NOT NULL
);

CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    company      INTEGER,
    name         TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    hash         BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER
) WITHOUT ROWID;
CREATE INDEX keys_of_company ON keys (company, created_at);

CREATE TABLE integrations (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    company       INTEGER NOT NULL,
    id            TEXT    NOT NULL,
    running       INTEGER NOT NULL,
    status_reason TEXT,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (company, id)
);

-- Settings as saved, secrets sealed; a version counts for positions after from_seq.
CREATE TABLE versions (
    integration INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    from_seq    INTEGER NOT NULL,
    settings    TEXT    NOT NULL,
    saved_at    INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    PRIMARY KEY (integration, version)
) WITHOUT ROWID;

CREATE TABLE lanes (
    integration INTEGER PRIMARY KEY,
    cursor      INTEGER NOT NULL,
    settled     BLOB    NOT NULL,
    delivered   INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    expired     INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE parked (
    integration INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    entity_key  INTEGER,
    accepted_at INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    last_status INTEGER,
    last_error  TEXT,
    event       BLOB,
    PRIMARY KEY (integration, seq)
) WITHOUT ROWID;

CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    integration INTEGER NOT NULL,
    event_id    BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    last_status INTEGER,
    detail      TEXT,
    attempts    INTEGER NOT NULL,
    event       BLOB    NOT NULL
);
CREATE INDEX rejected_by_time ON rejected (integration, at);
CREATE INDEX rejected_of_event ON rejected (integration, event_id);

CREATE TABLE entries (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    integration INTEGER NOT NULL,
    action      TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    at          INTEGER NOT NULL
);
CREATE INDEX entries_of_integration ON entries (integration);

-- Deleted integrations whose rows are still to be removed.
CREATE TABLE leftovers (
    integration INTEGER PRIMARY KEY
);
