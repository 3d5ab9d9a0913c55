"""Numbered steps of the PostgreSQL schema, forward only. ``store.postgres_migrate`` applies them."""
