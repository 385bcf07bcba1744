-- What an operator sets for a company, and what a key is bound to, as JSON.
ALTER TABLE companies ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN bound TEXT NOT NULL DEFAULT '{}';

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

-- What happened and the hub has still to tell others, as operational events.
ALTER TABLE entries ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX entries_untold ON entries (id) WHERE untold = 1;
ALTER TABLE audit ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX audit_untold ON audit (id) WHERE untold = 1;
