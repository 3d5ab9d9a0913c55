-- What answers used, kept for good: a row for each day (since 1970), workspace, model name and batch (batches.num; 0:
-- batches deleted since).
create table usage (
    day integer not null,
    workspace text collate "C" not null,
    model text collate "C" not null,
    batch bigint not null,
    requests bigint not null,
    input bigint not null,
    output bigint not null,
    cache_read bigint not null,
    cache_write bigint not null,
    cache_write_1h bigint not null,
    primary key (day, workspace, model, batch)
) with (fillfactor = 50);

create index usage_of_batch on usage (batch) where batch > 0;

-- How many requests became final in each minute since 1970, for a week. Each owner adds to one of 16 parts, so that they
-- seldom wait for each other.
create table minutes (
    minute bigint not null,
    workspace text collate "C" not null,
    part smallint not null,
    finished bigint not null,
    failed bigint not null,
    input bigint not null,
    output bigint not null,
    primary key (minute, workspace, part)
) with (fillfactor = 50);
