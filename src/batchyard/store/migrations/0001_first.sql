-- The first schema. Times are microseconds since 1970; a request's id is its batch's num * 2^24 + its seq, so that
-- one integer names it (one array of them binds a whole turn) and a batch's rows lie side by side.

create table batches (
    num integer primary key autoincrement,  -- never used twice: the rows of a deleted batch may still wait for the sweep
    id text not null unique,
    workspace text not null,
    created_at integer not null,
    expires_at integer not null,
    version text not null,
    betas text not null,                    -- JSON: a list of strings
    models text not null,                   -- JSON: the names that requests.model indexes
    body text not null,                     -- the blob with the params
    total integer not null check (total between 0 and 16777216),
    closing text check (closing in ('canceled', 'expired')),
    cancel_initiated_at integer,
    ended_at integer,
    archived_at integer,
    -- What clients see. Until the seal one settled request is held back, so that one counts as processing.
    succeeded integer not null default 0,
    errored integer not null default 0,
    canceled integer not null default 0,
    expired integer not null default 0,
    -- What the dispatcher needs, exact: requests that are not final; those of them in flight; the first seq that was
    -- never leased; how many results arrived. Waiting for a retry: open - leased - (total - fresh).
    open integer not null,
    leased integer not null default 0,
    fresh integer not null default 0,
    arrived integer not null default 0,
    -- The sealed files, from the seal until the archiving.
    results text,
    positions text,
    ledger text,
    size integer,
    sha256 text,
    check (succeeded + errored + canceled + expired <= total),
    check (0 <= leased and leased <= open and open <= total),
    check (fresh between 0 and total),
    check (ended_at is null or open = 0),
    check ((results is not null) = (ended_at is not null and archived_at is null)),
    check (cancel_initiated_at is null or closing is not null)
) strict;

create unique index batches_of_workspace on batches (workspace, id);
create index batches_live on batches (num) where ended_at is null;
create index batches_with_results on batches (created_at) where results is not null;

-- No index on (batch, custom_id): intake has refused duplicates before, and it would add half to the cost of a create.
create table requests (
    id integer primary key,
    custom_id text not null,
    "offset" integer not null,
    length integer not null,
    crc integer not null,
    prefix integer not null,
    model integer not null,
    state integer not null default 0,       -- 0 pending, 1 leased, 2 succeeded, 3 errored, 4 canceled, 5 expired;
                                            -- 6 is reserved for requests that a carrier holds
    attempt integer not null default 0,
    paid integer not null default 0,
    failures integer not null default 0,
    unknowns integer not null default 0,
    deaths integer not null default 0,
    owner integer,                          -- owners.num
    ready_at integer not null default 0,    -- 0: fresh, never leased
    check (state between 0 and 6),
    check ((state = 1) = (owner is not null))
) strict;

-- Retries alone. Fresh requests are leased in their order from batches.fresh on and need no index, which spares one
-- entry per request at its create and one at its lease.
create index requests_waiting on requests (id >> 24, ready_at) where state = 0 and ready_at > 0;

-- What arrived for a final request, with the trace of its last attempt. Which kind it is: requests.state.
create table results (
    request integer primary key,
    arrival integer not null,               -- 1, 2, 3 ... within the batch
    packed blob not null,
    outcome text not null,
    started_at integer not null,
    ended_at integer not null,
    reason text not null
) strict;

-- Traces of the attempts before the last.
create table attempts (
    request integer not null,
    attempt integer not null,
    outcome text not null,
    started_at integer not null,
    ended_at integer not null,
    reason text not null,
    primary key (request, attempt)
) strict, without rowid;

create table owners (
    num integer primary key autoincrement,  -- never used twice: it fences
    id text not null unique,
    beat integer not null
) strict;

-- What creates looked like, for a day: so that a repeated one is known.
create table creates (
    batch integer primary key,
    workspace text not null,
    caller text not null,
    body_sha256 text not null,
    retry integer not null,
    idempotency_key text,
    created_at integer not null
) strict;

create index creates_by_body on creates (workspace, caller, body_sha256);
create index creates_by_key on creates (workspace, caller, idempotency_key) where idempotency_key is not null;

-- The latest created_at ever given, of deleted batches too: ids sort after every id before.
create table given (
    only integer primary key check (only = 1),
    created_at integer not null
) strict;

insert into given values (1, 0);

-- Batches whose rows in requests, results and attempts are to be deleted.
create table sweeps (
    batch integer primary key
) strict;

-- Reserved: batches at upstreams that take batches themselves. A carrier is committed with its members before its
-- upstream create; upstream_id is null until that answered.
create table carriers (
    num integer primary key autoincrement,
    batch integer not null,
    lane text not null,
    nonce text not null unique,
    upstream_id text,
    owner integer,
    state text not null check (state in ('made', 'sent', 'ended', 'collected', 'lost')),
    created_at integer not null,
    ends_by integer not null
) strict;

create table carrier_members (
    carrier integer not null,
    request integer not null,
    primary key (carrier, request)
) strict, without rowid;
