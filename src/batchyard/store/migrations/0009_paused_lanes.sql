-- Lanes that the operator has paused: an upstream's name, or upstream/model. No batch uses them until they are resumed.
create table paused_lanes (lane text primary key) strict, without rowid;
