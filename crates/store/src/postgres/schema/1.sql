-- Version 1. Times are milliseconds since the Unix epoch, UTC; payloads are bytes as they came.

CREATE TABLE meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- One row for each company with events. Appending takes its lock, so seqs are dense and become visible in order.
CREATE TABLE log_heads (
    company integer PRIMARY KEY,
    head    bigint  NOT NULL DEFAULT 0,
    head_at bigint  NOT NULL DEFAULT 0,
    floor   bigint  NOT NULL DEFAULT 0,
    -- Where the head is; '' before the first event.
    segment text    NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- Which segment holds the seqs of a company from first on, up to the next stretch.
CREATE TABLE log_stretches (
    company integer NOT NULL,
    first   bigint  NOT NULL,
    segment text    NOT NULL,
    PRIMARY KEY (company, first)
);
CREATE INDEX log_stretches_of_segment ON log_stretches (segment, company);

-- Segments that have a table of their own, such as events_30d_2026_11_21 for 30d/2026-11-21.
CREATE TABLE log_segments (
    name text PRIMARY KEY
);

-- The shape of a segment. Payloads are kept as they are: compressing them costs more than it saves on most disks.
CREATE TABLE events_template (
    company       integer NOT NULL,
    seq           bigint  NOT NULL,
    accepted_at   bigint  NOT NULL,
    random        bytea   NOT NULL,
    size          integer NOT NULL,
    name          text    NOT NULL,
    site          text,
    terminal      text,
    entity_id     text,
    occurred_at   bigint,
    business_date text,
    caller_id     text,
    correlation   bytea,
    data          bytea   NOT NULL,
    PRIMARY KEY (company, seq)
);
ALTER TABLE events_template ALTER COLUMN data SET STORAGE EXTERNAL;

-- Idempotency ids of one day, in tables such as ids_2026_11_21; kept for seven days whatever the retention.
CREATE TABLE ids_template (
    hash        bytea   PRIMARY KEY,
    fingerprint bytea   NOT NULL,
    seq         bigint  NOT NULL,
    accepted_at bigint  NOT NULL,
    random      bytea   NOT NULL
);
CREATE TABLE id_days (
    day bigint PRIMARY KEY
);

-- ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE nodes (
    name text PRIMARY KEY,
    -- Alive until then, by the server's clock.
    until timestamptz NOT NULL
);

-- Who runs the lanes of a bucket, and the fence: what is written for a lane shares a lock on this row and names its
-- epoch, which counts the takings.
CREATE TABLE buckets (
    bucket integer     PRIMARY KEY,
    node   text        NOT NULL DEFAULT '',
    epoch  bigint      NOT NULL DEFAULT 0,
    until  timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO buckets (bucket) SELECT generate_series(0, 63);

-- What one node asks another.
CREATE TABLE questions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node     text        NOT NULL,
    question bytea       NOT NULL,
    answer   bytea,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX questions_open ON questions (node, id) WHERE answer IS NULL;

-- ── the state ───────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE companies (
    no          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text    NOT NULL UNIQUE,
    name        text    NOT NULL,
    retention   integer NOT NULL,
    ingest_drop text    NOT NULL
);

CREATE TABLE keys (
    id           text PRIMARY KEY,
    company      integer,
    name         text   NOT NULL,
    scopes       text   NOT NULL,
    hash         bytea  NOT NULL UNIQUE,
    created_at   bigint NOT NULL,
    expires_at   bigint,
    last_used_at bigint
);
CREATE INDEX keys_of_company ON keys (company, created_at, id);

CREATE TABLE integrations (
    no            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company       integer NOT NULL,
    id            text COLLATE "C" NOT NULL,
    running       boolean NOT NULL,
    status_reason text,
    version       integer NOT NULL,
    created_at    bigint  NOT NULL,
    updated_at    bigint  NOT NULL,
    UNIQUE (company, id)
);

-- Settings as saved, secrets sealed; a version counts for positions after from_seq.
CREATE TABLE versions (
    integration bigint  NOT NULL,
    version     integer NOT NULL,
    from_seq    bigint  NOT NULL,
    settings    text    NOT NULL,
    saved_at    bigint  NOT NULL,
    actor       text    NOT NULL,
    PRIMARY KEY (integration, version)
);

CREATE TABLE lanes (
    integration bigint PRIMARY KEY,
    cursor      bigint NOT NULL,
    settled     bytea  NOT NULL,
    delivered   bigint NOT NULL DEFAULT 0,
    rejected    bigint NOT NULL DEFAULT 0,
    expired     bigint NOT NULL DEFAULT 0,
    failures    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE parked (
    integration bigint  NOT NULL,
    seq         bigint  NOT NULL,
    entity_key  bigint,
    accepted_at bigint  NOT NULL,
    attempts    integer NOT NULL,
    next_at     bigint  NOT NULL,
    last_status integer,
    last_error  text,
    event       bytea,
    PRIMARY KEY (integration, seq)
);

CREATE TABLE rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration bigint  NOT NULL,
    event_id    bytea   NOT NULL,
    at          bigint  NOT NULL,
    reason      text    NOT NULL,
    last_status integer,
    detail      text,
    attempts    integer NOT NULL,
    event       bytea   NOT NULL
);
CREATE INDEX rejected_by_time ON rejected (integration, at, id);
CREATE INDEX rejected_of_event ON rejected (integration, event_id);

CREATE TABLE entries (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration bigint NOT NULL,
    action      text   NOT NULL,
    reason      text   NOT NULL,
    actor       text   NOT NULL,
    at          bigint NOT NULL
);
CREATE INDEX entries_of_integration ON entries (integration, id);

-- Deleted integrations whose rows are still to be removed.
CREATE TABLE leftovers (
    integration bigint PRIMARY KEY
);

-- The shape of the attempts of one UTC day, in tables such as attempts_2026_11_21. A success is one compact row; what a
-- receiver answered is kept of failures only.
CREATE TABLE attempts_template (
    integration bigint  NOT NULL,
    at          bigint  NOT NULL,
    seq         bigint  NOT NULL,
    number      integer NOT NULL,
    elapsed_ms  integer NOT NULL,
    status      integer,
    remaining   integer NOT NULL,
    domain_key  bigint,
    name_hash   bigint  NOT NULL,
    cause       text,
    detail      text,
    answer      bytea,
    PRIMARY KEY (integration, at, seq, number)
);
CREATE INDEX attempts_of_event ON attempts_template (integration, seq);
CREATE INDEX attempts_failed ON attempts_template (integration, at, seq, number) WHERE cause IS NOT NULL;
CREATE TABLE attempt_days (
    day bigint PRIMARY KEY
);
