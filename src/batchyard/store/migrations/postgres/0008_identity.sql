-- What tells this store from every other, in its backups too: object stores are marked with it.
alter table about add column identity text not null default gen_random_uuid()::text;
