-- Requests of one batch and model are leased on their own, for each model has lanes of its own.

-- The one model (an index into models) of a batch whose requests run in their order: its fresh ones are a range, from
-- batches.fresh on. Null: the batch has streams.
alter table batches add column only_model integer;

-- The requests of one batch and model: fresh ones are leased in the order of stream_parts, from the position fresh on.
create table streams (
    batch integer not null,
    model integer not null,
    total integer not null,
    fresh integer not null default 0,
    primary key (batch, model),
    check (fresh between 0 and total)
) strict, without rowid;

-- The seqs of a stream in the order in which they run: JSON lists of 512, the last one shorter.
create table stream_parts (
    batch integer not null,
    model integer not null,
    part integer not null,
    seqs text not null,
    primary key (batch, model, part)
) strict;

drop index requests_waiting;
create index requests_waiting on requests (id >> 24, model, ready_at) where state = 0 and ready_at > 0;

-- Batches that were begun by an earlier version: what was never leased is still in the order of the requests.
update batches set only_model = (
    select min(model) from requests where id between num << 24 and num << 24 | 16777215 having min(model) = max(model)
) where ended_at is null;

insert into streams (batch, model, total, fresh)
    select b.num, r.model, count(*), sum((r.id & 16777215) < b.fresh)
    from batches b join requests r on r.id between b.num << 24 and b.num << 24 | 16777215
    where b.ended_at is null and b.only_model is null group by b.num, r.model;

insert into stream_parts (batch, model, part, seqs)
    select batch, model, position / 512, json_group_array(seq) from (
        select b.num as batch, r.model as model, r.id & 16777215 as seq,
            row_number() over (partition by b.num, r.model order by r.id) - 1 as position
        from batches b join requests r on r.id between b.num << 24 and b.num << 24 | 16777215
        where b.ended_at is null and b.only_model is null
        order by 1, 2, 3
    ) group by batch, model, position / 512;
