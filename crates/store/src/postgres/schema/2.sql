-- Version 2.

-- What an operator sets for a company, and what a key is bound to, as JSON.
ALTER TABLE companies ADD COLUMN rules text NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN bound text NOT NULL DEFAULT '{}';

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

-- What happened and the hub has still to tell others, as operational events.
ALTER TABLE entries ADD COLUMN untold boolean NOT NULL DEFAULT false;
CREATE INDEX entries_untold ON entries (id) WHERE untold;
ALTER TABLE audit ADD COLUMN untold boolean NOT NULL DEFAULT false;
CREATE INDEX audit_untold ON audit (id) WHERE untold;
