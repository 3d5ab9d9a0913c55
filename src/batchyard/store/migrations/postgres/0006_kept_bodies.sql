-- A body is kept as long as its results, and counts as long.
drop index batches_kept;
create index batches_kept on batches (workspace) include (size, bytes) where results is not null;
