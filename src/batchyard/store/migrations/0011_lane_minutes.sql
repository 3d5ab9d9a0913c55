-- What each lane did in each minute since 1970, as each process saw it, for a week: what charts show after a restart, too.
-- Averages over the minute; times in seconds.
create table lane_minutes (
    minute integer not null,
    lane text not null,
    owner text not null,
    slots real not null,
    busy real not null,
    pending real not null,
    usual real,
    slow real,
    primary key (minute, lane, owner)
) strict, without rowid;
