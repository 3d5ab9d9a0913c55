"""From the moment when a cancel or a pause is answered no call begins, though its request may be leased already."""

import asyncio
from collections.abc import Callable

import pytest

from batchyard.dispatch import attempts, held
from batchyard.domain.batch import Status
from batchyard.domain.outcome import NotStarted, Outcome
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Pick
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.stores import FailingStore, Fault, SlowStore
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from tests.simulation.world import World


class SlowBlobs(MemoryBlobs):
    """Each read takes two seconds, as from a disk that sleeps."""

    async def read(self, name: str, offset: int, length: int) -> bytes:
        await asyncio.sleep(2.0)
        return await super().read(name, offset, length)


class SlowToConnect(ScriptedUpstream):
    """Asks whether the call is wanted once it is connected, two seconds later, as the port says."""

    async def attempt(self, call: Call) -> Outcome:
        await asyncio.sleep(2.0)
        if not call.is_wanted():
            return NotStarted(RequestError("api_error", "not sent"))
        return await super().attempt(call)


def slow_blobs(here: World) -> None:
    here.blobs = SlowBlobs()


def slow_store(here: World) -> None:
    """A turn is answered a second after it took effect; a cancel in between takes no time."""
    here.store = SlowStore(here.kept, lambda verb: 2.0 if verb == "turn" else 0.0)


def slow_connect(here: World) -> None:
    here.upstream = SlowToConnect(always(answered(), seconds=3.0))


@pytest.mark.parametrize("slow", [slow_blobs, slow_store, slow_connect])
@pytest.mark.parametrize("canceled_after", [0.5, 1.3, 1.9])
def test_after_a_cancel_was_answered_no_call_begins(slow: Callable[[World], None], canceled_after: float) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=3.0)))
        slow(here)
        await here.start()
        batch = await here.create(3)
        await asyncio.sleep(canceled_after)
        await here.cancel(batch)
        canceled_at = here.clock.monotonic()

        assert await here.kinds(batch) == ["canceled"] * 3
        assert isinstance(here.upstream, ScriptedUpstream)
        assert here.upstream.calls == []
        assert here.clock.monotonic() - canceled_at <= 2.0 + 2.0 + 0.25
        await here.kill()

    run_virtual(main(), limit=60)


@pytest.mark.parametrize("how", ["canceled", "expired"])
@pytest.mark.parametrize("for_what", ["to be alone", "for memory"])
def test_what_waits_for_calls_of_others_does_not_keep_its_batch_from_its_end(
    monkeypatch: pytest.MonkeyPatch, how: str, for_what: str
) -> None:
    if for_what == "for memory":
        for module in (attempts, held):
            monkeypatch.setattr(module, "LARGE_BYTES", 1)
        monkeypatch.setattr(held.Held, "_fits", lambda self, _size: self.bytes == 0)

    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=300.0)), limit=6)
        others = await here.create(2)
        if for_what == "for memory":
            await here.start()
            await asyncio.sleep(1.0)
        batch = await here.create(2, hours=20.0 / 3600.0)
        if for_what == "to be alone":
            for _ in range(3):
                await here.kept.beat("dying", here.clock.now())
                await here.kept.turn("dying", [], [Pick(batch.id, "", 2)], here.clock.now())
                await here.kept.reclaim("dying", here.clock.now())
            await here.start()
        await asyncio.sleep(10.0)
        if how == "canceled":
            await here.cancel(batch)
        else:
            await asyncio.sleep((batch.expires_at - here.clock.now()).total_seconds())
        due = here.clock.monotonic()

        assert await here.kinds(batch) == [how] * 2
        assert here.clock.monotonic() - due <= 3.0
        assert (await here.kept.get("w", others.id)).status is Status.IN_PROGRESS
        await here.kill()

    run_virtual(main(), limit=900)


@pytest.mark.parametrize("slow", [slow_blobs, slow_store, slow_connect])
def test_a_paused_batch_begins_no_call_and_teaches_nothing_about_the_server(slow: Callable[[World], None]) -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=3.0)))
        slow(here)
        await here.start()
        batch = await here.create(4)
        await asyncio.sleep(1.3)
        await here.pause(batch)
        await asyncio.sleep(20.0)
        assert isinstance(here.upstream, ScriptedUpstream)
        assert here.upstream.calls == []

        await here.kept.pause("w", batch.id, paused=False)
        resumed_at = here.clock.monotonic()
        assert await here.kinds(batch) == ["succeeded"] * 4
        assert here.upstream.most_in_flight == 4
        assert here.clock.monotonic() - resumed_at <= 20.0
        await here.kill()

    run_virtual(main(), limit=120)


def test_a_call_that_began_before_the_cancel_keeps_its_answer() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=5.0))
        here = World(upstream, limit=2)
        await here.start()
        batch = await here.create(5)
        await asyncio.sleep(1.0)
        assert (await here.cancel(batch)).status is Status.CANCELING

        assert await here.kinds(batch) == ["succeeded"] * 2 + ["canceled"] * 3
        assert len(upstream.calls) == 2
        await here.kill()

    run_virtual(main(), limit=60)


def test_nothing_is_sent_once_the_deadline_passed_while_connecting() -> None:
    async def main() -> None:
        here = World(SlowToConnect(always(answered(), seconds=1.0)))
        await here.start()
        batch = await here.create(2, hours=1.0 / 3600)

        assert await here.kinds(batch) == ["expired"] * 2
        assert isinstance(here.upstream, ScriptedUpstream)
        assert here.upstream.calls == []
        await here.kill()

    run_virtual(main(), limit=120)


def test_calls_past_their_deadline_are_cut_though_the_store_fails() -> None:
    async def main() -> None:
        upstream = ScriptedUpstream(always(answered(), seconds=300.0))
        here = World(upstream)
        here.store = FailingStore(here.kept, lambda verb, _n: Fault.BEFORE if verb == "expire" else None)
        await here.start()
        await here.create(2, hours=10.0 / 3600)
        await asyncio.sleep(45.0)

        assert [seen.cut for seen in upstream.calls] == [True, True]
        await here.kill()

    run_virtual(main(), limit=120)


def test_a_call_that_runs_at_a_deadline_that_is_held_is_not_cut() -> None:
    async def main() -> None:
        here = World(ScriptedUpstream(always(answered(), seconds=200.0)))
        here.holds = lambda: here.clock.monotonic() < 600.0
        await here.start()
        batch = await here.create(1, hours=100.0 / 3600)

        assert await here.kinds(batch) == ["succeeded"]
        await here.kill()

    run_virtual(main(), limit=3600)
