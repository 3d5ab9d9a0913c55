"""The slow and the failing store: when a call takes effect, and who learns of it."""

import asyncio
import itertools

import pytest

from batchyard.domain.batch import Counts
from batchyard.domain.errors import NotFound, StoreUnavailable
from batchyard.ports import Pick
from batchyard.store.memory import MemoryStore
from batchyard.testing.factories import MODEL, NOW, a_batch, drafts, later, origin, succeeded
from batchyard.testing.stores import FailingStore, Fault, SlowStore
from batchyard.testing.time import VirtualTimeLoop


def on_virtual_time(seconds: float) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(seconds))


def test_a_slow_call_takes_effect_in_the_middle_of_its_time() -> None:
    async def life() -> list[bool]:
        inner = MemoryStore()
        slow = SlowStore(inner, lambda verb: 10.0)
        creating = asyncio.create_task(slow.create(a_batch(), drafts(1), origin(), defend=False))
        seen = []
        for _ in range(4):
            await asyncio.sleep(3)
            seen.append(len((await inner.page("w1", after=None, before=None, limit=9)).batches) == 1)
            seen.append(creating.done())
        return seen

    with on_virtual_time(60) as runner:
        seen = runner.run(life())

    assert seen[0::2] == [False, True, True, True]
    assert seen[1::2] == [False, False, False, True]


def test_each_verb_has_its_own_time() -> None:
    async def life() -> list[float]:
        slow = SlowStore(MemoryStore(), lambda verb: {"beat": 4.0, "expire": 1.0}.get(verb, 0.0))
        times = [asyncio.get_running_loop().time()]
        for call in (slow.beat("o1", NOW), slow.expire(NOW), slow.ripe()):
            await call
            times.append(asyncio.get_running_loop().time())
        return [after - before for before, after in itertools.pairwise(times)]

    with on_virtual_time(60) as runner:
        assert runner.run(life()) == [4.0, 1.0, 0.0]


@pytest.mark.parametrize(("one_at_a_time", "seconds"), [(False, 2.0), (True, 6.0)])
def test_slow_calls_overlap_unless_they_may_not(one_at_a_time: bool, seconds: float) -> None:
    async def life() -> float:
        slow = SlowStore(MemoryStore(), lambda verb: 2.0, one_at_a_time=one_at_a_time)
        await asyncio.gather(*[slow.beat(f"o{number}", NOW) for number in range(3)])
        return asyncio.get_running_loop().time()

    with on_virtual_time(60) as runner:
        assert runner.run(life()) == seconds


def test_a_refusal_comes_through_both() -> None:
    async def life() -> None:
        store = FailingStore(SlowStore(MemoryStore(), lambda verb: 1.0), lambda verb, n: None)
        with pytest.raises(NotFound):
            await store.get("w1", "msgbatch_1")

    with on_virtual_time(60) as runner:
        runner.run(life())


@pytest.mark.parametrize(("fault", "processing"), [(Fault.BEFORE, 2), (Fault.AFTER, 1)])
def test_a_call_fails_before_or_after_it_took_effect(fault: Fault, processing: int) -> None:
    async def life() -> Counts:
        store = FailingStore(MemoryStore(), lambda verb, n: fault if (verb, n) == ("turn", 2) else None)
        batch = await store.create(a_batch(), drafts(2), origin(), defend=False)
        turn = await store.turn("o1", [], [Pick(batch.id, MODEL, 1)], later(1))
        with pytest.raises(StoreUnavailable, match=fault.value):
            await store.turn("o1", [succeeded(turn.leases[0])], [], later(2))
        return (await store.get("w1", batch.id)).counts

    assert asyncio.run(life()) == Counts(processing=processing, succeeded=2 - processing)


def test_calls_of_a_verb_are_counted_from_one() -> None:
    calls: list[tuple[str, int]] = []

    def choose(verb: str, n: int) -> None:
        calls.append((verb, n))

    async def life() -> None:
        store = FailingStore(MemoryStore(), choose)
        await store.beat("o1", NOW)
        await store.ripe()
        await store.beat("o1", NOW)

    asyncio.run(life())

    assert calls == [("beat", 1), ("ripe", 1), ("beat", 2)]


def test_finals_may_fail_between_two_slices() -> None:
    async def life() -> int:
        inner = MemoryStore()
        store = FailingStore(inner, lambda verb, n: Fault.BEFORE if (verb, n) == ("finals", 2) else None)
        batch = await store.create(a_batch(), drafts(2500), origin(), defend=False)
        await store.cancel("w1", batch.id, NOW)
        slices = aiter(store.finals(batch.id))
        got = len(await anext(slices))
        with pytest.raises(StoreUnavailable):
            await anext(slices)
        return got

    assert asyncio.run(life()) == 1000
