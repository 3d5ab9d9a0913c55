"""Migrations are numbered one after the other: two of one number would hide each other."""

from batchyard.store import migrate, postgres_migrate


def test_no_two_migrations_have_one_number() -> None:
    for steps in (migrate.migrations(), postgres_migrate.migrations()):
        assert list(steps) == list(range(1, len(steps) + 1))
