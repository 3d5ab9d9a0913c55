-- What seals the sessions of the dashboard: every process that serves it reads them.
create table secrets (
    only_one integer primary key check (only_one = 1),
    secret bytea not null check (length(secret) = 32)
);
