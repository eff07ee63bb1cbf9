-- The first schema. Numbers of names: 0 is none. Money: nano-USD. Times: UTC.

CREATE TABLE names (
    number INTEGER PRIMARY KEY,
    kind   INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- Up to where each lane of each run's journal is imported, in the same transaction as what was
-- imported.
CREATE TABLE checkpoints (
    run      INTEGER NOT NULL,
    lane     INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (run, lane)
) STRICT, WITHOUT ROWID;

-- How far each chore has come: see `Mark`.
CREATE TABLE marks (
    mark  INTEGER PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
INSERT INTO marks VALUES (1, 0), (2, 0), (3, 0), (4, 0);

-- By end first: a start reads the epochs that have not ended, which lie together.
CREATE TABLE postings (
    ends_s INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (ends_s, bucket)
) STRICT, WITHOUT ROWID;

-- One row for a settled request, in the order of time (`Place` says how). Who wants the rows of
-- one tenant or key finds in the roll-ups which minutes have any.
CREATE TABLE usage_rows (
    place         INTEGER PRIMARY KEY,
    request       BLOB    NOT NULL,
    attempt       INTEGER NOT NULL,
    tenant        INTEGER NOT NULL,
    team          INTEGER NOT NULL,
    key           INTEGER NOT NULL,
    service       INTEGER NOT NULL,
    model_asked   INTEGER NOT NULL,
    model_served  INTEGER NOT NULL,
    provider      INTEGER NOT NULL,
    price_version INTEGER NOT NULL,
    dialect       INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    refusal       INTEGER NOT NULL,
    outcome       INTEGER NOT NULL,
    usage_source  INTEGER NOT NULL,
    input         INTEGER NOT NULL,
    output        INTEGER NOT NULL,
    cached_read   INTEGER NOT NULL,
    cache_write   INTEGER NOT NULL,
    reasoning     INTEGER NOT NULL,
    audio         INTEGER NOT NULL,
    image         INTEGER NOT NULL,
    searches      INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    ttfb_us       INTEGER NOT NULL,
    total_us      INTEGER NOT NULL,
    bytes_in      INTEGER NOT NULL,
    bytes_out     INTEGER NOT NULL
) STRICT;

-- The ids of one worker rise, so this index too is appended to, in a few places.
CREATE INDEX usage_by_request ON usage_rows (request);

-- Roll-ups. By time first: a batch adds to the end of each table, whoever called. Hours follow
-- their minutes and days their hours, up to the marks. The tenant 4294967295 is all of them.
CREATE TABLE usage_minutes (
    starts_s    INTEGER NOT NULL,
    tenant      INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    service     INTEGER NOT NULL,
    model       INTEGER NOT NULL,
    provider    INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cached_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    reasoning   INTEGER NOT NULL,
    audio       INTEGER NOT NULL,
    image       INTEGER NOT NULL,
    searches    INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    ttfb_us     INTEGER NOT NULL,
    total_us    INTEGER NOT NULL,
    bytes_in    INTEGER NOT NULL,
    bytes_out   INTEGER NOT NULL,
    PRIMARY KEY (starts_s, tenant, key, service, model, provider, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_hours (
    starts_s    INTEGER NOT NULL,
    tenant      INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    service     INTEGER NOT NULL,
    model       INTEGER NOT NULL,
    provider    INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cached_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    reasoning   INTEGER NOT NULL,
    audio       INTEGER NOT NULL,
    image       INTEGER NOT NULL,
    searches    INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    ttfb_us     INTEGER NOT NULL,
    total_us    INTEGER NOT NULL,
    bytes_in    INTEGER NOT NULL,
    bytes_out   INTEGER NOT NULL,
    PRIMARY KEY (starts_s, tenant, key, service, model, provider, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_days (
    starts_s    INTEGER NOT NULL,
    tenant      INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    service     INTEGER NOT NULL,
    model       INTEGER NOT NULL,
    provider    INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cached_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    reasoning   INTEGER NOT NULL,
    audio       INTEGER NOT NULL,
    image       INTEGER NOT NULL,
    searches    INTEGER NOT NULL,
    cost        INTEGER NOT NULL,
    ttfb_us     INTEGER NOT NULL,
    total_us    INTEGER NOT NULL,
    bytes_in    INTEGER NOT NULL,
    bytes_out   INTEGER NOT NULL,
    PRIMARY KEY (starts_s, tenant, key, service, model, provider, status)
) STRICT, WITHOUT ROWID;

-- What an offer (a model's or service's number) cost, and since when. Records carry `number`.
CREATE TABLE price_versions (
    number  INTEGER PRIMARY KEY,
    offer   INTEGER NOT NULL REFERENCES names (number),
    version INTEGER NOT NULL,
    price   TEXT    NOT NULL,
    since_s INTEGER NOT NULL,
    UNIQUE (offer, version)
) STRICT;

-- What is declared. `source`: 1 the file (read-only here), 2 the store. A thing's name stands in
-- `names` under its number; plans have no number, since no record names one.
CREATE TABLE plans (
    name   TEXT    PRIMARY KEY,
    source INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    number    INTEGER PRIMARY KEY REFERENCES names (number),
    plan      TEXT    REFERENCES plans (name),
    suspended INTEGER NOT NULL,
    source    INTEGER NOT NULL
) STRICT;

CREATE TABLE teams (
    number INTEGER PRIMARY KEY REFERENCES names (number),
    tenant INTEGER NOT NULL REFERENCES tenants (number),
    source INTEGER NOT NULL
) STRICT;
CREATE INDEX teams_by_tenant ON teams (tenant);

-- `digest` is the SHA-256 of what a caller shows; the key itself is nowhere.
CREATE TABLE keys (
    number    INTEGER PRIMARY KEY REFERENCES names (number),
    digest    BLOB    NOT NULL UNIQUE,
    tenant    INTEGER NOT NULL REFERENCES tenants (number),
    team      INTEGER REFERENCES teams (number),
    disabled  INTEGER NOT NULL,
    expires_s INTEGER,
    source    INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_by_tenant ON keys (tenant);

-- `holder`: a plan's name, or a number as text; `holder_kind` says which. What the words may be
-- is the configuration's to judge.
CREATE TABLE limits (
    holder_kind INTEGER NOT NULL,
    holder      TEXT    NOT NULL,
    place       INTEGER NOT NULL,
    unit        TEXT    NOT NULL,
    amount      INTEGER NOT NULL,
    per         TEXT    NOT NULL,
    options     TEXT    NOT NULL,
    PRIMARY KEY (holder_kind, holder, place)
) STRICT, WITHOUT ROWID;

-- Money that was given, in nano-USD. Rows are never changed and never removed.
CREATE TABLE grants (
    id              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL REFERENCES names (number),
    amount          INTEGER NOT NULL CHECK (amount > 0),
    kind            INTEGER NOT NULL,
    expires_s       INTEGER,
    reason          TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    at_s            INTEGER NOT NULL,
    by              TEXT    NOT NULL,
    source          INTEGER NOT NULL,
    UNIQUE (tenant, idempotency_key)
) STRICT;

-- Corrections of a balance, either way. Rows are never changed and never removed.
CREATE TABLE adjustments (
    id     INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES names (number),
    amount INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    at_s   INTEGER NOT NULL,
    by     TEXT    NOT NULL
) STRICT;
CREATE INDEX adjustments_by_tenant ON adjustments (tenant);

-- Who changed what, in the transaction of the change. Append-only.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    what   TEXT    NOT NULL,
    target TEXT    NOT NULL,
    before TEXT,
    after  TEXT
) STRICT;
CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER grants_are_not_edited BEFORE UPDATE ON grants
BEGIN SELECT raise(ABORT, 'grants are append-only'); END;
CREATE TRIGGER grants_are_not_removed BEFORE DELETE ON grants
BEGIN SELECT raise(ABORT, 'grants are append-only'); END;
CREATE TRIGGER adjustments_are_not_edited BEFORE UPDATE ON adjustments
BEGIN SELECT raise(ABORT, 'adjustments are append-only'); END;
CREATE TRIGGER adjustments_are_not_removed BEFORE DELETE ON adjustments
BEGIN SELECT raise(ABORT, 'adjustments are append-only'); END;
