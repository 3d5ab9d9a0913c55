-- What a workspace stores can be limited: the bytes of a batch's body, and an index that sums its results alone.
alter table batches add column bytes integer not null default 0;

create index batches_kept on batches (workspace, size) where results is not null;
