-- Results of a running batch in the order in which they came, for those who read them as they come. Entries are added at
-- the end of their batch's range, which is cheap.
create index results_in_order on results (request >> 24, arrival);
