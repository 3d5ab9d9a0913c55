"""Bugs planted in the PostgreSQL store."""

from tests.planted.bug import Bug

ALONE = "tests/contract/test_postgres.py"
SETTLE = "tests/contract/test_store_settle.py"

POSTGRES = [
    Bug(
        "a settlement does not name its attempt",
        "store/postgres_settle.py",
        "where l.request = s.request and l.attempt = s.attempt and l.owner = $1",
        "where l.request = s.request and l.owner = $1",
        SETTLE,
    ),
    Bug(
        "a settlement does not name its owner",
        "store/postgres_settle.py",
        "l.attempt = s.attempt and l.owner = $1 returning",
        "l.attempt = s.attempt and $1::bigint is not null returning",
        SETTLE,
    ),
    Bug(
        "a turn waits for the slice that another one takes from",
        "store/postgres_lease.py",
        "limit 1 + (w.wanted + 126) / 128\n        for update skip locked",
        "limit 1 + (w.wanted + 126) / 128\n        for update",
        ALONE,
    ),
    Bug(
        "a pick that finds every slice taken is told that nothing is left",
        "store/postgres_lease.py",
        "            if fresh:  #",
        "            if fresh > 10**9:  #",
        ALONE,
    ),
    Bug(
        "a cancel does not wait for a turn",
        "store/postgres_batches.py",
        'tail = "for update of b" if lock else ""',
        'tail = ""',
        ALONE,
    ),
    Bug(
        "a lost commit counts as made",
        "store/postgres_connections.py",
        "                    return bool(last == number)",
        "                    return True",
        ALONE,
    ),
    Bug(
        "a lost commit counts as not made",
        "store/postgres_connections.py",
        "                    return bool(last == number)",
        "                    return False",
        ALONE,
    ),
    Bug(
        "a connection that is gone already makes a commit of unknown end be made again",
        "store/postgres_connections.py",
        "    with suppress(asyncpg.InterfaceError):\n        db.terminate()",
        "    db.terminate()",
        ALONE,
    ),
    Bug(
        "a host's clock judges who is dead",
        "store/postgres.py",
        "return None if self._own_time else micros(now)",
        "return micros(now)",
        ALONE,
    ),
    Bug(
        "a reclaim takes from an owner that came back",
        "store/postgres.py",
        "lease_micros = self._lease_micros if self._own_time else None",
        "lease_micros = None",
        ALONE,
    ),
    Bug(
        "nobody hears of a new owner",
        "store/postgres_owners.py",
        "    if is_new:",
        "    if False:",
        "tests/e2e/test_roles.py",
    ),
    Bug(
        "an API process runs batches too",
        "app/process.py",
        'if self._settings.role != "api" else []',
        "if True else []",
        "tests/e2e/test_roles.py",
    ),
    Bug(
        "owners are told with the leases of all",
        "store/postgres_owners.py",
        "from leases l where l.owner = o.num) as leases",
        "from leases l) as leases",
        "tests/contract/test_store_owners.py",
    ),
    Bug(
        "a migration is not one transaction with its version",
        "store/postgres_migrate.py",
        "            await db.execute(migrations()[version + 1])\n",
        "            await db.execute('commit')\n            await db.execute(migrations()[version + 1])\n",
        ALONE,
    ),
    Bug(
        "programs that start at once migrate at once",
        "store/postgres_migrate.py",
        '            await db.execute("select pg_advisory_xact_lock($1)", LOCK)\n',
        "",
        ALONE,
    ),
    Bug(
        "the last settled request is counted before the seal",
        "store/postgres_tally.py",
        "(t.open = c.finished and c.last = 'succeeded')::int",
        "0",
        SETTLE,
    ),
    Bug(
        "the results of a turn arrive in the wrong order",
        "store/postgres_settle.py",
        "row[2] = totals[row[1]] - row[2]",
        "row[2] = row[2] - 1",
        "tests/contract/test_store_finals.py",
    ),
]
