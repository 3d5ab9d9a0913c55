-- The span that made a batch: the header traceparent of its create.
alter table batches add column traceparent text not null default '';
