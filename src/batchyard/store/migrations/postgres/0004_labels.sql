-- What people call a batch: a name, and labels as one JSON object of texts.
alter table batches add column name text not null default '';
alter table batches add column labels jsonb not null default '{}';
