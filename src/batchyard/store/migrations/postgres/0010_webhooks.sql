-- What webhooks are told, each happening once for each of them; and until when the ends of batches were looked through.
create table deliveries (
    hook text collate "C" not null,
    id text collate "C" not null,
    kind text not null,
    workspace text,
    body bytea not null,
    state text not null,
    tries integer not null,
    created_at bigint not null,
    due_at bigint not null,
    tried_at bigint,
    status integer,
    reason text not null,
    primary key (hook, id)
);
create index deliveries_due on deliveries (due_at) where state = 'waiting';
create index deliveries_created on deliveries (hook, created_at);
create table hook_marks (one integer primary key check (one = 1), seen_until bigint not null);
