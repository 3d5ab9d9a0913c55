"""The engine: keeps slots busy, commits what was learnt, ends batches."""
