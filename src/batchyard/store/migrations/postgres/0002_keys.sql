-- Who may call: hashes of keys, never the keys. Times are ISO 8601 in UTC, as in the key file of a data folder.
create table keys (
    id text collate "C" primary key,
    sha256 bytea not null unique check (length(sha256) = 32),
    label text not null,
    workspace text not null,
    scopes text not null,
    created_at text collate "C" not null,
    expires_at text,
    revoked_at text
);
