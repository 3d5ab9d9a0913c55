-- A paused batch gives no lease until it is resumed; its deadline, cancel and seal go on as ever.
alter table batches add column paused integer not null default 0 check (paused in (0, 1));
