-- What answers used, kept for good: a row for each day (since 1970), workspace, model name and batch (batches.num; 0:
-- batches deleted since). Every turn that settles requests brings it up to date.
create table usage (
    day integer not null,
    workspace text not null,
    model text not null,
    batch integer not null,
    requests integer not null,
    input integer not null,
    output integer not null,
    cache_read integer not null,
    cache_write integer not null,
    cache_write_1h integer not null,
    primary key (day, workspace, model, batch)
) strict, without rowid;

create index usage_of_batch on usage (batch) where batch > 0;

-- How many requests became final in each minute since 1970, for a week: what charts show after a restart, too.
create table minutes (
    minute integer not null,
    workspace text not null,
    finished integer not null,
    failed integer not null,
    input integer not null,
    output integer not null,
    primary key (minute, workspace)
) strict, without rowid;
