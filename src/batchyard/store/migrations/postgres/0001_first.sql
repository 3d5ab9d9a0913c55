-- The first schema. Times are microseconds since 1970; a request's id is its batch's num * 2^24 + its seq.
--
-- A request that is not final is in exactly one of three places: in parts (never leased), in waiting (to be tried
-- again), in leases (in flight). A final one is in results. So the rows of requests hardly ever change, and what turns
-- do change are small rows in small tables.

create sequence batch_nums;

create table batches (
    num bigint primary key,
    id text collate "C" not null unique,
    workspace text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    version text not null,
    betas text not null,                    -- JSON: a list of strings
    models text not null,                   -- JSON: the names that requests.model indexes
    body text not null,                     -- the blob with the params
    total integer not null check (total between 0 and 16777216),
    bytes bigint not null,                  -- of all params
    paused boolean not null default false,
    closing text check (closing in ('canceled', 'expired')),
    cancel_initiated_at bigint,
    ended_at bigint,
    archived_at bigint,
    -- From the seal on; before, tallies counts.
    succeeded integer not null default 0,
    errored integer not null default 0,
    canceled integer not null default 0,
    expired integer not null default 0,
    -- The sealed files, from the seal until the archiving.
    results text,
    positions text,
    ledger text,
    size bigint,
    sha256 text,
    check (ended_at is null or succeeded + errored + canceled + expired = total),
    check ((results is not null) = (ended_at is not null and archived_at is null)),
    check (cancel_initiated_at is null or closing is not null)
);

create unique index batches_of_workspace on batches (workspace, id);
create index batches_live on batches (num) where ended_at is null;
create index batches_kept on batches (workspace) include (size) where results is not null;
create index batches_with_results on batches (created_at) where results is not null;

-- What turns count in a batch that has not ended: requests that are not final; those of them in flight; how many
-- results arrived. What clients see holds one settled request back until the seal.
create table tallies (
    batch bigint primary key,
    open integer not null,
    leased integer not null default 0,
    arrived integer not null default 0,
    succeeded integer not null default 0,
    errored integer not null default 0,
    canceled integer not null default 0,
    expired integer not null default 0,
    check (0 <= leased and leased <= open)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Of one batch and model: how many requests are in parts, and how many in waiting.
create table streams (
    batch bigint not null,
    model smallint not null,
    fresh integer not null check (fresh >= 0),
    waiting integer not null default 0 check (waiting >= 0),
    primary key (batch, model)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Requests as they stand between attempts.
create table requests (
    id bigint primary key,
    custom_id text not null,
    "offset" bigint not null,
    length bigint not null,
    crc bigint not null,
    prefix bigint not null,
    model smallint not null,
    attempt integer not null default 0,
    paid integer not null default 0,
    failures integer not null default 0,
    unknowns integer not null default 0,
    deaths integer not null default 0
);

-- Requests that were never leased: seqs in the order in which they run, 128 to a row. Leases take slices of a row, each
-- owner of its own; a row whose requests are all taken goes.
create table parts (
    batch bigint not null,
    model smallint not null,
    part integer not null,
    seqs integer[] not null,
    taken smallint not null default 0,
    primary key (batch, model, part)
) with (autovacuum_vacuum_scale_factor = 0.05);

-- Requests that wait for their next attempt.
create table waiting (
    request bigint primary key,
    batch bigint not null,
    model smallint not null,
    ready_at bigint not null
) with (autovacuum_vacuum_scale_factor = 0.05);

create index waiting_due on waiting (batch, model, ready_at);

create table leases (
    request bigint primary key,
    owner bigint not null,                  -- owners.num
    attempt integer not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index leases_of_owner on leases (owner);

-- What arrived for a final request, with the trace of its last attempt.
create table results (
    request bigint primary key,
    arrival integer not null,               -- 1, 2, 3 ... within the batch
    state smallint not null check (state between 2 and 5),  -- succeeded, errored, canceled, expired
    attempt integer not null,
    packed bytea not null,
    outcome text not null,
    started_at bigint not null,
    ended_at bigint not null,
    reason text not null
);

alter table results alter column packed set storage external;  -- they stay for hours: packing them costs more

-- Traces of the attempts before the last.
create table attempts (
    request bigint not null,
    attempt integer not null,
    outcome text not null,
    started_at bigint not null,
    ended_at bigint not null,
    reason text not null,
    primary key (request, attempt)
);

create table owners (
    num bigint primary key generated always as identity,  -- never used twice: it fences
    id text collate "C" not null unique,
    beat bigint not null                    -- 0: a carrier, which has none
) with (fillfactor = 50);

-- What creates looked like, for a day: so that a repeated one is known.
create table creates (
    batch bigint primary key,
    workspace text collate "C" not null,
    caller text not null,
    body_sha256 text not null,
    retry integer not null,
    idempotency_key text,
    created_at bigint not null
);

create index creates_by_body on creates (workspace, caller, body_sha256);
create index creates_by_key on creates (workspace, caller, idempotency_key) where idempotency_key is not null;
create index creates_by_age on creates (created_at);

-- The latest created_at ever given, of deleted batches too: ids sort after every id before.
create table given (
    only_one integer primary key check (only_one = 1),
    created_at bigint not null
) with (fillfactor = 50);

insert into given values (1, 0);

-- Batches whose rows in requests, results and attempts are to be deleted.
create table sweeps (
    batch bigint primary key
);

-- Batches at upstreams that take batches themselves. A carrier's members are leased to an owner of its own.
create table carriers (
    num bigint primary key generated always as identity,
    nonce text collate "C" not null unique,
    batch bigint not null,
    lane text not null,
    upstream_id text,
    owner bigint not null,                  -- the number of the owner that tends it
    state text not null check (state in ('made', 'sent', 'collected', 'lost')),
    members integer not null,
    created_at bigint not null,
    ends_by bigint not null
);

create index carriers_open on carriers (num) where state in ('made', 'sent');

-- The last transaction that each connection committed: whether one whose answer was lost took effect is read here.
create table marks (
    connection text primary key,
    last bigint not null,
    marked_at timestamptz not null
) with (fillfactor = 50);
