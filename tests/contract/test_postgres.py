"""What only the PostgreSQL store promises: its start, its migrations, lost commits, owners beside each other."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from batchyard.domain.errors import CommitUnknown, DataRefused, NotFound, StoreUnavailable
from batchyard.ports import Pick
from batchyard.store import postgres_connections, postgres_migrate, postgres_session
from batchyard.store.postgres import PostgresStore
from batchyard.store.rows import micros
from batchyard.testing.factories import MODEL, NOW, a_batch, drafts, later, origin, succeeded
from tests.contract.yard import Run
from tests.postgres import Cluster, shared


@pytest.fixture
def url() -> str:
    return shared().schema_url()


@pytest.fixture
def store(url: str, run: Run) -> Iterator[PostgresStore]:
    opened = run(PostgresStore.open(url))
    yield opened
    run(opened.close())


async def direct(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    plain_url, _, schema = url.partition("?schema=")
    return await asyncpg.connect(plain_url, server_settings={"search_path": schema})


def in_schema(url: str, run: Run, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def act() -> Any:
        db = await direct(url)
        try:
            return await work(db)
        finally:
            await db.close()

    return run(act())


# --- the start


def test_a_database_that_is_not_there_is_refused_without_its_password(run: Run) -> None:
    with pytest.raises(DataRefused, match="cannot be used") as refused:
        run(PostgresStore.open("postgresql://someone:hunter2@127.0.0.1:9/nothing"))

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("schema", ["Upper", "a-b", 'a"b', "1st", "x" * 64])
def test_a_schema_with_another_name_than_plain_letters_is_refused(run: Run, schema: str) -> None:
    with pytest.raises(DataRefused, match="schema"):
        run(PostgresStore.open(f"postgresql://h/d?schema={schema}"))


def test_a_schema_of_another_program_is_refused_and_left_alone(url: str, run: Run) -> None:
    schema = url.partition("?schema=")[2]
    in_schema(url, run, lambda db: db.execute(f"create schema {schema}; create table {schema}.invoices (id int)"))

    with pytest.raises(DataRefused, match="another program"):
        run(PostgresStore.open(url))

    tables = in_schema(url, run, lambda db: db.fetch("select tablename from pg_tables where schemaname = $1", schema))
    assert [row["tablename"] for row in tables] == ["invoices"]


def test_a_newer_schema_is_refused(url: str, run: Run, store: PostgresStore) -> None:
    in_schema(url, run, lambda db: db.execute("update about set version = version + 1"))

    with pytest.raises(DataRefused, match="newer Batchyard"):
        run(PostgresStore.open(url))


def test_programs_that_start_at_once_migrate_once(url: str, run: Run) -> None:
    async def start_together() -> list[PostgresStore]:
        return list(await asyncio.gather(*[PostgresStore.open(url, connections=1) for _ in range(4)]))

    for opened in run(start_together()):
        run(opened.close())

    assert in_schema(url, run, lambda db: db.fetchval("select version from about")) == len(
        postgres_migrate.migrations()
    )


@pytest.mark.parametrize("statements", range(0, 40, 3))
def test_a_migration_that_dies_at_any_statement_is_made_at_the_next_start(
    url: str, run: Run, statements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dict(postgres_migrate.migrations())
    cut = ";".join(whole[1].split(";")[:statements])
    monkeypatch.setattr(
        postgres_migrate, "migrations", lambda: {**whole, 1: f"{cut}\n;select pg_terminate_backend(pg_backend_pid())"}
    )
    with pytest.raises(DataRefused):
        run(PostgresStore.open(url))
    monkeypatch.setattr(postgres_migrate, "migrations", lambda: whole)

    opened = run(PostgresStore.open(url))

    batch = run(opened.create(a_batch(), drafts(2), origin(), defend=False))
    assert run(opened.get("w1", batch.id)) == batch
    run(opened.close())


def test_sessions_commit_with_a_sync_though_the_server_does_not_ask_for_it(run: Run) -> None:
    with Cluster(synchronous_commit="off") as cluster:
        opened = run(PostgresStore.open(cluster.schema_url()))
        shown = run(opened._connections.read(lambda db: db.fetchval("show synchronous_commit")))
        run(opened.close())

    assert shown == "on"


# --- lost commits


class CutAtCommit:
    """Ends a connection around its next COMMIT: before the server sees it, or after it was done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: bool, times: int = 1) -> None:
        commit = asyncpg.transaction.Transaction.commit
        self.left = times

        async def cut(transaction: Any) -> None:
            if self.left:
                self.left -= 1
                if after:
                    await commit(transaction)
                transaction._connection.terminate()
                raise asyncpg.ConnectionDoesNotExistError("cut")
            await commit(transaction)

        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", cut)


def test_a_commit_whose_answer_was_lost_took_effect_once(
    store: PostgresStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(store.create(a_batch(), drafts(5), origin(), defend=False))
    CutAtCommit(monkeypatch, after=True)

    turn = run(store.turn("o1", [], [Pick(first.id, MODEL, 3)], later(60)))

    assert [lease.seq for lease in turn.leases] == [0, 1, 2]
    assert run(store.held("o1")) == turn.leases
    assert [lease.attempt for lease in turn.leases] == [1, 1, 1]


def test_a_commit_that_never_reached_the_server_is_made_again(
    store: PostgresStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    CutAtCommit(monkeypatch, after=False)

    batch = run(store.create(a_batch(), drafts(5), origin(), defend=False))

    assert run(store.page("w1", after=None, before=None, limit=10)).batches == [batch]


def test_a_commit_of_which_nobody_can_tell_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "RESOLVE_SECONDS", 0.3)
    with Cluster() as cluster:
        url = cluster.schema_url("kept")
        store = run(PostgresStore.open(url))
        commit = asyncpg.transaction.Transaction.commit

        async def die(transaction: Any) -> None:
            monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", commit)
            await commit(transaction)
            cluster.stop(signal.SIGKILL)
            transaction._connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("cut")

        monkeypatch.setattr(asyncpg.transaction.Transaction, "commit", die)
        with pytest.raises(CommitUnknown):
            run(store.create(a_batch(), drafts(5), origin(), defend=False))
        with pytest.raises(StoreUnavailable):
            run(store.page("w1", after=None, before=None, limit=10))
        cluster.start()

        assert len(run(store.page("w1", after=None, before=None, limit=10)).batches) == 1
        run(store.close())


# --- owners beside each other


def test_owners_beside_each_other_lease_every_request_once(store: PostgresStore, run: Run) -> None:
    batch = run(store.create(a_batch(), drafts(1500, models=(MODEL, "b")), origin(), defend=False))

    async def work(owner: str) -> list[tuple[str, int]]:
        got: list[tuple[str, int]] = []
        held: list[Any] = []
        while True:
            picks = [Pick(batch.id, MODEL, 20), Pick(batch.id, "b", 20)]
            turn = await store.turn(owner, [succeeded(lease) for lease in held], picks, later(60))
            assert not turn.stale
            held = list(turn.leases)
            got += [lease.key for lease in held]
            if not held and not [short for short in turn.short if short.next_ready_at]:
                return got

    async def together() -> list[list[tuple[str, int]]]:
        return list(await asyncio.gather(*[work(f"o{number}") for number in range(4)]))

    got = [key for keys in run(together()) for key in keys]

    assert sorted(got) == [(batch.id, seq) for seq in range(1500)]
    shown = run(store.get("w1", batch.id))
    assert (shown.counts.succeeded, shown.counts.processing) == (1499, 1)
    assert [one.id for one in run(store.ripe())] == [batch.id]


def test_a_turn_that_takes_from_a_slice_keeps_nobody_waiting(store: PostgresStore, url: str, run: Run) -> None:
    batch = run(store.create(a_batch(), drafts(300), origin(), defend=False))

    async def beside_a_lock() -> Any:
        other = await direct(url)
        async with other.transaction():
            await other.execute("select * from parts order by part limit 1 for update")
            turn = await asyncio.wait_for(store.turn("o1", [], [Pick(batch.id, MODEL, 5)], later(60)), 5)
        await other.close()
        return turn

    assert [lease.seq for lease in run(beside_a_lock()).leases] == [128, 129, 130, 131, 132]


def test_a_pick_that_finds_every_slice_taken_is_told_that_there_is_more(
    store: PostgresStore, url: str, run: Run
) -> None:
    batch = run(store.create(a_batch(), drafts(3), origin(), defend=False))

    async def beside_a_lock() -> Any:
        other = await direct(url)
        async with other.transaction():
            await other.execute("select * from parts for update")
            turn = await asyncio.wait_for(store.turn("o1", [], [Pick(batch.id, MODEL, 5)], later(60)), 5)
        await other.close()
        return turn

    turn = run(beside_a_lock())
    assert turn.leases == []
    assert [short.next_ready_at for short in turn.short] == [batch.created_at]


def test_a_cancel_waits_for_a_turn_and_the_next_turn_leases_nothing(store: PostgresStore, url: str, run: Run) -> None:
    batch = run(store.create(a_batch(), drafts(4), origin(), defend=False))

    async def cancel_beside_a_turn() -> tuple[bool, Any]:
        other = await direct(url)
        turning = other.transaction()
        await turning.start()
        await other.execute("select * from batches where id = $1 for share", batch.id)
        canceling = asyncio.create_task(store.cancel("w1", batch.id, later(61)))
        await asyncio.sleep(0.2)
        waited = not canceling.done()
        await turning.rollback()
        await canceling
        await other.close()
        return waited, await store.turn("o1", [], [Pick(batch.id, MODEL, 5)], later(62))

    waited, turn = run(cancel_beside_a_turn())
    assert waited
    assert turn.leases == []


def test_of_two_cancels_at_once_the_later_one_tells_when_the_first_was(
    store: PostgresStore, url: str, run: Run
) -> None:
    batch = run(store.create(a_batch(), drafts(4), origin(), defend=False))

    async def both() -> Any:
        other, watcher = await direct(url), await direct(url)  # a transaction sees one state of all backends, always
        first = other.transaction()
        await first.start()
        await other.execute(
            "update batches set cancel_initiated_at = $1, closing = 'canceled' where id = $2",
            micros(later(60)),
            batch.id,
        )
        second = asyncio.create_task(store.cancel("w1", batch.id, later(61)))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%batches%'"
        async with asyncio.timeout(60):
            while not await watcher.fetchval(waits):
                await asyncio.sleep(0.01)
        await first.commit()
        await other.close()
        await watcher.close()
        return await second

    assert run(both()).cancel_initiated_at == later(60)


# --- time and death


def test_who_is_dead_is_the_databases_to_say_whatever_a_host_thinks(store: PostgresStore, run: Run) -> None:
    run(store.beat("o1", NOW - timedelta(hours=1)))
    run(store.beat("o2", NOW + timedelta(hours=1)))

    assert run(store.beat("o3", NOW)) == 3
    assert run(store.dead(NOW + timedelta(days=400))) == []


def test_an_owner_that_came_back_before_its_reclaim_keeps_what_it_holds(store: PostgresStore, run: Run) -> None:
    batch = run(store.create(a_batch(), drafts(2), origin(), defend=False))
    run(store.beat("o1", NOW))
    leases = run(store.turn("o1", [], [Pick(batch.id, MODEL, 2)], later(60))).leases

    assert run(store.reclaim("o1", later(3600))) == 0

    assert run(store.held("o1")) == leases


def test_an_owner_that_leaves_is_taken_at_its_word_though_it_lives(store: PostgresStore, run: Run) -> None:
    batch = run(store.create(a_batch(), drafts(2), origin(), defend=False))
    run(store.beat("o1", NOW))
    run(store.turn("o1", [], [Pick(batch.id, MODEL, 2)], later(60)))

    assert run(store.leave("o1", later(60))) == 2

    assert run(store.held("o1")) == []
    assert run(store.owners(NOW)) == []


def test_a_process_frozen_in_a_transaction_holds_nobody_up_for_long(
    url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_session.SESSION, "idle_in_transaction_session_timeout", "300ms")
    opened = run(PostgresStore.open(url))
    batch = run(opened.create(a_batch(), drafts(2), origin(), defend=False))

    async def freeze() -> None:
        async def frozen(db: Any) -> None:
            await db.execute("select * from batches for update")
            await asyncio.sleep(1.0)

        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await opened._connections._write(frozen)

    async def both() -> Any:
        freezing = asyncio.create_task(freeze())
        await asyncio.sleep(0.1)
        canceled = await asyncio.wait_for(opened.cancel("w1", batch.id, later(60)), 10)
        await freezing
        return canceled

    assert run(both()).cancel_initiated_at == later(60)
    run(opened.close())


def test_a_server_without_a_free_connection_is_an_outage_that_passes(run: Run) -> None:
    with Cluster(max_connections="6", superuser_reserved_connections="0") as cluster:
        url = cluster.schema_url("kept")
        opened = run(PostgresStore.open(url, connections=3))
        batch = run(opened.create(a_batch(), drafts(2), origin(), defend=False))

        async def crowd() -> list[Any]:
            return [await direct(url) for _ in range(5)]

        others = run(crowd())

        async def ask() -> list[Any]:
            asked = [opened._connections.read(_slowly) for _ in range(3)]
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = run(ask())
        assert [answer for answer in answers if isinstance(answer, StoreUnavailable)]
        for other in others:
            run(other.close())
        assert run(opened.get("w1", batch.id)) == batch
        run(opened.close())


async def _slowly(db: Any) -> None:
    await db.execute("select pg_sleep(0.3)")


def test_a_backend_that_is_killed_takes_nothing_with_it(run: Run) -> None:
    with Cluster() as cluster:
        opened = run(PostgresStore.open(cluster.schema_url("kept")))
        batch = run(opened.create(a_batch(), drafts(2), origin(), defend=False))
        os.kill(cluster.backends()[0], signal.SIGKILL)

        async def again() -> Any:
            for _ in range(100):
                try:
                    return await opened.get("w1", batch.id)
                except StoreUnavailable:
                    await asyncio.sleep(0.1)
            raise NotFound("it never came back")

        assert run(again()) == batch
        run(opened.close())


# --- sessions


def test_a_pooler_that_shares_sessions_is_told_from_connections_of_their_own(url: str, run: Run) -> None:
    async def shared_sessions() -> tuple[bool, bool]:
        one, other = await direct(url), await direct(url)
        # in transaction mode a pooler gives both clients what is one connection to the server
        answers = await postgres_session.share_a_session(one, one), await postgres_session.share_a_session(one, other)
        await one.close()
        await other.close()
        return answers

    assert run(shared_sessions()) == (True, False)


def test_a_session_is_set_by_statements_for_poolers_refuse_or_drop_what_a_start_names(url: str, run: Run) -> None:
    async def shown() -> tuple[str, str, str]:
        db = await postgres_session.connect(url.partition("?")[0], "ours", answer_seconds=10.0)
        names = "search_path", "idle_in_transaction_session_timeout", "jit"
        values = [await db.fetchval("select current_setting($1)", name) for name in names]
        resets = [await db.fetchval("select reset_val from pg_settings where name = $1", name) for name in names]
        await db.close()
        assert not set(values) & set(resets)
        return values[0], values[1], values[2]

    assert run(shown()) == ("ours", "10s", "off")
