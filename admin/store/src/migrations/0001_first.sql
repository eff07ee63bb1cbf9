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
