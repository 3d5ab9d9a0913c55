"""What ``Outbox`` promises, for each implementation of it."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.domain.hooks import Delivery, Kind, Notice, Reply, State, Verdict
from batchyard.ports import Outbox
from batchyard.store.memory_outbox import MemoryOutbox
from batchyard.store.postgres import PostgresStore
from batchyard.store.sqlite_outbox import NAME, SqliteOutbox
from batchyard.testing.factories import NOW, later
from tests.contract import store_table
from tests.contract.yard import Run


async def memory(folder: Path) -> Outbox:
    return MemoryOutbox()


async def sqlite(folder: Path) -> Outbox:
    return SqliteOutbox.open(folder)


async def postgres(folder: Path) -> Outbox:
    store = await store_table.postgres(folder, lambda: secrets.randbits(80))
    assert isinstance(store, PostgresStore)
    outbox = store.outbox()
    outbox.close = store.close  # type: ignore[method-assign]  # nobody else has this store
    return outbox


OUTBOXES: dict[str, Callable[[Path], Coroutine[Any, Any, Outbox]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgres": postgres,
}
DONE = Verdict(State.DELIVERED)


@pytest.fixture(params=OUTBOXES)
def outbox(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Outbox]:
    opened = run(OUTBOXES[request.param](tmp_path))
    yield opened
    run(opened.close())


def delivery(name: str, hook: str = "h") -> Delivery:
    return Delivery(hook, Notice(name, Kind.ENDED, "w", b'{"of":"%b"}' % name.encode()))


def ids(deliveries: Any) -> list[str]:
    return [one.notice.id for one in deliveries]


def take(run: Run, outbox: Outbox, now: datetime, limit: int = 10) -> list[Delivery]:
    return list(run(outbox.take(now, now + timedelta(minutes=2), limit)))


def test_what_is_put_is_due_at_once_and_comes_whole(run: Run, outbox: Outbox) -> None:
    assert run(outbox.put([delivery("a"), delivery("b")], NOW)) == 2

    [first, second] = take(run, outbox, NOW)

    assert (first.hook, first.notice, first.tries) == ("h", delivery("a").notice, 1)
    assert second.notice.body == b'{"of":"b"}'


def test_the_same_happening_is_kept_once_for_each_hook(run: Run, outbox: Outbox) -> None:
    assert run(outbox.put([delivery("a"), delivery("a", "other")], NOW)) == 2
    assert run(outbox.put([delivery("a"), delivery("b")], later(5))) == 1
    run(outbox.tried(delivery("a"), Reply(200), DONE, later(6)))

    assert run(outbox.put([delivery("a")], later(7))) == 0
    assert sorted((one.hook, one.notice.id) for one in take(run, outbox, later(8))) == [("h", "b"), ("other", "a")]


def test_what_was_taken_is_due_again_only_when_its_taker_may_have_died(run: Run, outbox: Outbox) -> None:
    run(outbox.put([delivery("a")], NOW))

    assert ids(take(run, outbox, NOW)) == ["a"]
    assert take(run, outbox, later(119)) == []
    [again] = take(run, outbox, later(120))
    assert again.tries == 2


def test_the_oldest_are_taken_first_and_no_more_than_asked_for(run: Run, outbox: Outbox) -> None:
    for number in range(5):
        run(outbox.put([delivery(f"n{number}")], later(number)))

    assert ids(take(run, outbox, later(10), limit=3)) == ["n0", "n1", "n2"]
    assert ids(take(run, outbox, later(10), limit=3)) == ["n3", "n4"]


def test_a_try_that_failed_comes_back_at_its_time(run: Run, outbox: Outbox) -> None:
    run(outbox.put([delivery("a")], NOW))
    [taken] = take(run, outbox, NOW)
    run(outbox.tried(taken, Reply(503, "Service Unavailable"), Verdict(State.WAITING, later(60)), later(1)))

    assert take(run, outbox, later(59)) == []
    assert ids(take(run, outbox, later(60))) == ["a"]
    [told] = run(outbox.log("h", 5))
    assert (told.state, told.tries, told.status, told.reason) == (State.WAITING, 2, 503, "Service Unavailable")
    assert (told.created_at, told.tried_at) == (NOW, later(1))


@pytest.mark.parametrize("state", [State.DELIVERED, State.FAILED])
def test_what_is_done_is_not_taken_again_and_stays_in_the_log(run: Run, outbox: Outbox, state: State) -> None:
    run(outbox.put([delivery("a")], NOW))
    [taken] = take(run, outbox, NOW)
    run(outbox.tried(taken, Reply(204), Verdict(state), later(1)))

    assert take(run, outbox, later(86_400)) == []
    [told] = run(outbox.log("h", 5))
    assert (told.state, told.again_at, told.status) == (state, None, 204)


def test_the_log_shows_the_newest_first_of_one_hook(run: Run, outbox: Outbox) -> None:
    for number in range(4):
        run(outbox.put([delivery(f"n{number}"), delivery(f"n{number}", "other")], later(number)))

    assert [told.id for told in run(outbox.log("h", 3))] == ["n3", "n2", "n1"]
    assert run(outbox.log("nobody", 3)) == []


def test_what_waits_is_counted_by_hook(run: Run, outbox: Outbox) -> None:
    assert run(outbox.waiting()) == {}

    others = [Delivery("other", delivery("a").notice)]
    run(outbox.put([delivery("a"), delivery("b"), delivery("c"), *others], NOW))
    take(run, outbox, NOW)
    run(outbox.tried(delivery("a"), Reply(200), DONE, NOW))
    run(outbox.tried(delivery("b"), Reply(500), Verdict(State.WAITING, later(9)), NOW))

    assert run(outbox.waiting()) == {"h": 2, "other": 1}


def test_the_mark_moves_with_what_is_put(run: Run, outbox: Outbox) -> None:
    assert run(outbox.mark()) is None

    run(outbox.put([], NOW, mark=later(5)))
    run(outbox.put([delivery("a")], later(6)))

    assert run(outbox.mark()) == later(5)


def test_only_what_is_old_and_done_is_forgotten(run: Run, outbox: Outbox) -> None:
    run(outbox.put([delivery("waits"), delivery("done")], NOW))
    run(outbox.put([delivery("young")], later(100)))
    for name in ("done", "young"):
        run(outbox.tried(delivery(name), Reply(200), DONE, later(101)))

    assert run(outbox.forget(later(100))) == 1
    assert sorted(told.id for told in run(outbox.log("h", 5))) == ["waits", "young"]


def test_the_folder_keeps_what_it_was_told(run: Run, tmp_path: Path) -> None:
    first = run(sqlite(tmp_path))
    run(first.put([delivery("a")], NOW, mark=NOW))
    run(first.close())
    run(first.close())
    with pytest.raises(StoreUnavailable):
        run(first.mark())

    second = run(sqlite(tmp_path))

    assert run(second.mark()) == NOW
    assert ids(take(run, second, NOW)) == ["a"]
    run(second.close())


def test_a_file_of_another_program_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"not a database" * 100)

    with pytest.raises(DataRefused, match=NAME):
        run(sqlite(tmp_path))
    assert (tmp_path / NAME).read_bytes() == b"not a database" * 100


def test_two_processes_never_take_the_same(run: Run, tmp_path: Path) -> None:
    first = run(postgres(tmp_path))
    second = run(postgres(tmp_path))
    run(first.put([delivery(f"n{number}") for number in range(40)], NOW))

    async def both() -> list[Any]:
        until = NOW + timedelta(minutes=2)
        return await asyncio.gather(*(one.take(NOW, until, 5) for one in (first, second) * 4))

    taken = [name for part in run(both()) for name in ids(part)]

    assert len(taken) == len(set(taken)) == 40
    run(first.close())
    run(second.close())
