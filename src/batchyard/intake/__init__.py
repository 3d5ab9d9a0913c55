"""Splits the body of a create call into drafts while it streams, without any I/O of its own."""
