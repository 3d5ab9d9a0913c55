-- What each lane did in each minute since 1970, as each process saw it, for a week. Averages; times in seconds.
create table lane_minutes (
    minute bigint not null,
    lane text collate "C" not null,
    owner text collate "C" not null,
    slots double precision not null,
    busy double precision not null,
    pending double precision not null,
    usual double precision,
    slow double precision,
    primary key (minute, lane, owner)
);
