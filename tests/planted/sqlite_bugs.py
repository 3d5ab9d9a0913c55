"""Bugs planted in the embedded store."""

from tests.planted.bug import Bug

OPEN = "tests/unit/test_sqlite_open.py"
WRITER = "tests/unit/test_sqlite_writer.py"
SETTLE = "tests/contract/test_store_settle.py"
LEASE = "tests/contract/test_store_lease.py"
CARRIERS = "tests/contract/test_store_carriers.py"

SQLITE: list[Bug] = [
    Bug(
        "a commit is acknowledged before it is made",
        "store/writer.py",
        "        if self._connection.in_transaction:\n            self._end_transaction()\n",
        "        self._acknowledge(group, outcomes)\n"
        "        if self._connection.in_transaction:\n            self._end_transaction()\n",
        WRITER,
    ),
    Bug(
        "work that fails takes its neighbours along",
        "store/writer.py",
        '"rollback" if alone else "rollback to job"',
        '"rollback" if alone else "rollback; begin; savepoint job"',
        WRITER,
    ),
    Bug(
        "work that fails leaves half of itself",
        "store/writer.py",
        '"rollback" if alone else "rollback to job"',
        '"rollback" if alone else "release job; savepoint job"',
        WRITER,
    ),
    Bug("commits do not reach the disk", "store/database.py", '"synchronous": 2,', '"synchronous": 1,', OPEN),
    Bug(
        "what is deleted stays in the pages", "store/database.py", '"secure_delete": 1,', '"secure_delete": 0,', WRITER
    ),
    Bug("what is deleted stays in the WAL", "store/sqlite.py", "self._writer.wipe_soon()", "self._writer", WRITER),
    Bug(
        "the sweep leaves results",
        "store/sqlite_upkeep.py",
        '        connection.execute("delete from results where request between ? and ?", (first, last))\n',
        "",
        WRITER,
    ),
    Bug("pragmas are not read back", "store/database.py", "if got != wanted:", "if got is None:", OPEN),
    Bug("two servers hold one folder", "store/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH", OPEN),
    Bug("a newer schema is used", "store/migrate.py", "if version > newest():", "if version > newest() + 9:", OPEN),
    Bug(
        "a foreign database is used",
        "store/database.py",
        "if application != APPLICATION_ID:",
        "if application == 0:",
        OPEN,
    ),
    Bug("damage is not looked for", "store/database.py", 'if found != "ok":', "if not found:", OPEN),
    Bug("pages are not read at the start", "store/database.py", "        _check_pages(connection, path)\n", "", OPEN),
    Bug(
        "a refused database is written to",
        "store/database.py",
        "        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)\n",
        "",
        OPEN,
    ),
    Bug(
        "SQLite: the fence is dropped",
        "store/sqlite_settle.py",
        "attempts.get(id_) == settlement.lease.attempt",
        "id_ in attempts",
        SETTLE,
    ),
    Bug(
        "SQLite: anyone may settle",
        "store/sqlite_settle.py",
        "where r.state = 1 and r.owner = ?",
        "where r.state = 1 and ? is not null",
        SETTLE,
    ),
    Bug(
        "SQLite: a retry in a closing batch is pending",
        "store/sqlite_settle.py",
        "if tally.stored.closing is None:",
        "if tally.leased >= 0:",
        SETTLE,
    ),
    Bug(
        "SQLite: counts say that all is done before the seal",
        "store/sqlite_tally.py",
        "if self.processing > 1:",
        "if self.processing > 0:",
        SETTLE,
    ),
    Bug("SQLite: the lease ignores the retry time", "store/sqlite_lease.py", "and ready_at <= ?", "and ? > 0", LEASE),
    Bug(
        "SQL: the lease ignores cancel",
        "store/rows.py",
        "self.ended_at is None and self.closing is None and not",
        "self.ended_at is None and not",
        "tests/contract/test_store_cancel_delete.py",
    ),
    Bug("SQL: the lease ignores the deadline", "store/rows.py", " and now < self.expires_at", "", LEASE),
    Bug(
        "SQL: a paused batch is leased",
        "store/rows.py",
        " and not self.paused and now",
        " and now",
        "tests/contract/test_store_pause.py",
    ),
    Bug(
        "SQLite: the run order is read from one part alone",
        "store/sqlite_streams.py",
        "part, skipped = divmod(stream.fresh, PART)",
        "part, skipped = 0, stream.fresh % PART",
        "tests/contract/test_store_streams.py",
    ),
    Bug(
        "SQLite: retries of any model are leased",
        "store/sqlite_lease.py",
        "where id >> 24 = ? and model = ? and state = 0 and ready_at > 0 and ready_at <= ? order",
        "where id >> 24 = ? and ? is not null and state = 0 and ready_at > 0 and ready_at <= ? order",
        "tests/contract/test_store_streams.py",
    ),
    Bug(
        "SQLite: a batch of one model is leased for any",
        "store/sqlite_lease.py",
        "if stored.only_model == model:",
        "if stored.only_model is not None:",
        "tests/contract/test_store_streams.py",
    ),
    Bug(
        "SQLite: fresh requests go before due retries",
        "store/sqlite_lease.py",
        "        self.requests.extend(retries)\n        self.requests.extend(fresh)\n",
        "        self.requests.extend(fresh)\n        self.requests.extend(retries)\n",
        LEASE,
    ),
    Bug(
        "SQLite: reclaim forgets what was paid",
        "store/sqlite_upkeep.py",
        "owner = null, paid = paid + 1,",
        "owner = null,",
        "tests/contract/test_store_owners.py",
    ),
    Bug(
        "SQLite: carriers are told among the owners",
        "store/sqlite_owners.py",
        "from owners o where beat > 0 order by num",
        "from owners o order by num",
        "tests/contract/test_store_owners.py",
    ),
    Bug(
        "SQLite: the seal does not recount",
        "store/sqlite_upkeep.py",
        "recount = _recount(connection, stored) if stored.ripe else stored.counts",
        "recount = counts",
        "tests/contract/test_store_seal.py",
    ),
    Bug(
        "SQLite: batches are anybody's",
        "store/sqlite_batches.py",
        '"workspace = ? and id = ?"',
        '"? is not null and id = ?"',
        "tests/contract/test_store_reads.py",
    ),
    Bug(
        "SQLite: results are mixed up",
        "store/sqlite_finals.py",
        "where request between ? and ? order by request)",
        "where request between ? and ? order by arrival)",
        "tests/unit/test_sqlite_finals.py",
    ),
    Bug(
        "the WAL grows for ever",
        "store/writer.py",
        "elif self._pages >= self._checkpoint_at:",
        "elif self._pages < 0:",
        WRITER,
    ),
    Bug(
        "SQLite: a carrier dies like a dispatcher",
        "store/sqlite_owners.py",
        "where beat between 1 and ? - 1",
        "where beat <= ? - 1",
        CARRIERS,
    ),
    Bug(
        "SQLite: who lost a carrier moves it on",
        "store/sqlite_carriers.py",
        " and c.nonce = ? and c.owner = (select num from owners where id = ?)",
        " and c.nonce = ? and ? is not null",
        CARRIERS,
    ),
    Bug(
        "SQLite: carriers of the living are adopted",
        "store/sqlite_carriers.py",
        "(o.num is null or ? - o.beat > ?)",
        "(o.num is null or ? - o.beat > -?)",
        CARRIERS,
    ),
    Bug(
        "SQLite: a lost carrier costs its members",
        "store/sqlite_carriers.py",
        "(int(not lost), micros(now)",
        "(1, micros(now)",
        CARRIERS,
    ),
    Bug(
        "SQLite: the sweep takes a carrier that is at work",
        "store/sqlite_upkeep.py",
        "delete from carriers where batch = ? and state in ('collected', 'lost')",
        "delete from carriers where batch = ?",
        CARRIERS,
    ),
]
