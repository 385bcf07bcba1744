-- What an operator sets for a company, and what a key is bound to, as JSON.
ALTER TABLE companies ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN bound TEXT NOT NULL DEFAULT '{}';

-- A parked row of an event that is listed as rejected: it only keeps its entity back.
ALTER TABLE parked ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- Small things of a company (0: of the instance) that are looked up by their id, as JSON: sites, users, jobs, …
CREATE TABLE documents (
    company    INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (company, kind, id)
) WITHOUT ROWID;

-- Who changed what (0: of the instance).
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    company INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    before  TEXT,
    after   TEXT
);
CREATE INDEX audit_of_company ON audit (company, id);
CREATE INDEX audit_of_object ON audit (company, object, id);

-- Replays that are under way, each with its place, as JSON.
CREATE TABLE replays (
    integration INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL,
    body        TEXT    NOT NULL
);

-- What companies used on UTC days, in days since the Unix epoch. Events stand under their retention in days, everything
-- else under 0.
CREATE TABLE usage (
    company   INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    retention INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    rejected  INTEGER NOT NULL,
    expired   INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,
    PRIMARY KEY (company, day, retention)
) WITHOUT ROWID;
CREATE INDEX usage_of_day ON usage (day);

-- Answers to requests with an Idempotency-Key (0: of the instance), sealed; NULL: being answered.
CREATE TABLE answers (
    company     INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    answer      TEXT,
    PRIMARY KEY (company, id)
) WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (at);

-- Events of sites that nobody knows, and how many there are of each.
CREATE TABLE held (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    company     INTEGER NOT NULL,
    site        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    hash        BLOB,
    fingerprint BLOB,
    event       BLOB    NOT NULL
);
CREATE INDEX held_of_site ON held (company, site, id);
CREATE UNIQUE INDEX held_ids ON held (hash) WHERE hash IS NOT NULL;
CREATE TABLE held_sites (
    company  INTEGER NOT NULL,
    site     TEXT    NOT NULL,
    events   INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (company, site)
) WITHOUT ROWID;
-- What happened to a company's events, in buckets of so many seconds.
CREATE TABLE statistics (
    company    INTEGER NOT NULL,
    resolution INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    accepted   INTEGER NOT NULL,
    delivered  INTEGER NOT NULL,
    rejected   INTEGER NOT NULL,
    expired    INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    PRIMARY KEY (company, resolution, at)
) WITHOUT ROWID;
CREATE INDEX statistics_by_time ON statistics (resolution, at);
-- What happened and the hub has still to tell others, as operational events.
ALTER TABLE entries ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX entries_untold ON entries (id) WHERE untold = 1;
ALTER TABLE audit ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX audit_untold ON audit (id) WHERE untold = 1;
