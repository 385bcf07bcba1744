-- Version 2.

-- What an operator sets for a company, and what a key is bound to, as JSON.
ALTER TABLE companies ADD COLUMN rules text NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN bound text NOT NULL DEFAULT '{}';

-- A parked row of an event that is listed as rejected: it only keeps its entity back.
ALTER TABLE parked ADD COLUMN held boolean NOT NULL DEFAULT false;

-- Small things of a company (0: of the instance) that are looked up by their id, as JSON: sites, users, jobs, …
CREATE TABLE documents (
    company    integer NOT NULL,
    kind       text    COLLATE "C" NOT NULL,
    id         text    COLLATE "C" NOT NULL,
    body       text    NOT NULL,
    version    integer NOT NULL,
    created_at bigint  NOT NULL,
    updated_at bigint  NOT NULL,
    PRIMARY KEY (company, kind, id)
);

-- Who changed what (0: of the instance).
CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company integer NOT NULL,
    at      bigint  NOT NULL,
    actor   text    NOT NULL,
    action  text    NOT NULL,
    object  text    NOT NULL,
    before  text,
    after   text
);
CREATE INDEX audit_of_company ON audit (company, id);
CREATE INDEX audit_of_object ON audit (company, object, id);

-- Replays that are under way, each with its place, as JSON.
CREATE TABLE replays (
    integration bigint PRIMARY KEY,
    id          text   NOT NULL,
    body        text   NOT NULL
);

-- What companies used on UTC days, in days since the Unix epoch. Events stand under their retention in days, everything
-- else under 0.
CREATE TABLE usage (
    company   integer NOT NULL,
    day       bigint  NOT NULL,
    retention integer NOT NULL,
    events    bigint  NOT NULL,
    bytes     bigint  NOT NULL,
    delivered bigint  NOT NULL,
    rejected  bigint  NOT NULL,
    expired   bigint  NOT NULL,
    attempts  bigint  NOT NULL,
    PRIMARY KEY (company, day, retention)
) WITH (fillfactor = 50);
CREATE INDEX usage_of_day ON usage (day);

-- Answers to requests with an Idempotency-Key (0: of the instance), sealed; NULL: being answered.
CREATE TABLE answers (
    company     integer NOT NULL,
    id          text    COLLATE "C" NOT NULL,
    at          bigint  NOT NULL,
    fingerprint bytea   NOT NULL,
    answer      text,
    PRIMARY KEY (company, id)
);
CREATE INDEX answers_by_time ON answers (at);

-- Events of sites that nobody knows, and how many there are of each.
CREATE TABLE held (
    id          bigint  GENERATED ALWAYS AS IDENTITY,
    company     integer NOT NULL,
    site        text    COLLATE "C" NOT NULL,
    at          bigint  NOT NULL,
    size        bigint  NOT NULL,
    hash        bytea,
    fingerprint bytea,
    event       bytea   NOT NULL,
    PRIMARY KEY (company, site, id)
);
CREATE UNIQUE INDEX held_ids ON held (hash) WHERE hash IS NOT NULL;
CREATE TABLE held_sites (
    company  integer NOT NULL,
    site     text    COLLATE "C" NOT NULL,
    events   bigint  NOT NULL,
    bytes    bigint  NOT NULL,
    first_at bigint  NOT NULL,
    last_at  bigint  NOT NULL,
    PRIMARY KEY (company, site)
);
-- Events whose payload was erased in the last days, for nodes that have a copy in memory.
CREATE TABLE log_erased (
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    company integer     NOT NULL,
    seq     bigint      NOT NULL
);
CREATE INDEX log_erased_by_time ON log_erased (at);

-- How far the log of each company is indexed.
CREATE TABLE index_reached (
    company integer PRIMARY KEY,
    seq     bigint  NOT NULL
) WITH (fillfactor = 50);

-- The shape of the index of one UTC day, in tables such as index_2026_11_21: positions of a company's events by the
-- hash of a value, in runs that were written at once and are put together later.
CREATE TABLE index_template (
    run     bigint  NOT NULL,
    company integer NOT NULL,
    key     bigint  NOT NULL,
    last    bigint  NOT NULL,
    seqs    bytea   NOT NULL,
    PRIMARY KEY (run, company, key)
);
CREATE TABLE index_days (
    day bigint PRIMARY KEY
);
CREATE TABLE index_runs (
    run    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day    bigint NOT NULL,
    events bigint NOT NULL
);
CREATE INDEX index_runs_of_day ON index_runs (day, run);
-- What happened to a company's events, in buckets of so many seconds.
CREATE TABLE statistics (
    company    integer NOT NULL,
    resolution integer NOT NULL,
    at         bigint  NOT NULL,
    accepted   bigint  NOT NULL,
    delivered  bigint  NOT NULL,
    rejected   bigint  NOT NULL,
    expired    bigint  NOT NULL,
    failures   bigint  NOT NULL,
    PRIMARY KEY (company, resolution, at)
);
CREATE INDEX statistics_by_time ON statistics (resolution, at);
-- What happened and the hub has still to tell others, as operational events.
ALTER TABLE entries ADD COLUMN untold boolean NOT NULL DEFAULT false;
CREATE INDEX entries_untold ON entries (id) WHERE untold;
ALTER TABLE audit ADD COLUMN untold boolean NOT NULL DEFAULT false;
CREATE INDEX audit_untold ON audit (id) WHERE untold;
