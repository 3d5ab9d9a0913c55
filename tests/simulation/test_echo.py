"""What a model server repeats of a request does not come into the log, by whatever way it was asked."""

import asyncio
from collections.abc import Sequence

import pytest

from batchyard.dispatch import carrier_body
from batchyard.domain.batch import Batch
from batchyard.domain.echo import LEFT_OUT, LEFT_OUT_UNSEEN
from batchyard.domain.events import LaneHeld
from batchyard.domain.outcome import Held, Outcome
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream
from batchyard.testing.batch_upstreams import Trouble
from batchyard.testing.time import run_virtual
from batchyard.testing.upstreams import ScriptedUpstream, answered
from tests.simulation.carriers import CarrierWorld, carrier_world
from tests.simulation.world import World, world

PROMPT = "a prompt of thirty characters!"
MONEY = "Your credit balance is too low to access the API."


def denied(words: str) -> Held:
    return Held(RequestError("billing_error", words))


def reasons(here: World) -> set[str]:
    return {event.reason for event in here.events if isinstance(event, LaneHeld)}


async def params_of(here: World, batch: Batch) -> list[str]:
    """Return the params of all its requests."""
    reader = await here.blobs.open(batch.body)
    return [f"{params}}}" for params in (await reader.read(0, reader.size)).decode().split("}") if params]


def troubled(here: CarrierWorld, troubled_verb: str, words: Sequence[str]) -> None:
    """Let the verb be refused for ten minutes; ``words`` are filled in by then."""

    def script(verb: str, _number: int) -> Trouble | None:
        if verb != troubled_verb or here.clock.monotonic() > 600:
            return None
        return Trouble(denied(words[0]))

    here.batches.script = script


@pytest.mark.parametrize("which", [0, 50, 99])
def test_a_create_that_is_refused_with_words_of_a_request_does_not_tell_them(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier_body, "PART_BYTES", 1024)

    async def main() -> None:
        async with carrier_world() as here:
            words: list[str] = []
            troubled(here, "create", words)
            batch = await here.make(100)
            params = await params_of(here, batch)
            words.append(f"Denied: {params[which]}")

            assert len(params) == 100
            assert set(await here.kinds(batch)) == {"succeeded"}
            assert len(here.batches.ours) == 1
            assert reasons(here) == {LEFT_OUT}

    run_virtual(main(), limit=7200)


def test_why_a_create_is_refused_is_told_in_the_servers_words() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            troubled(here, "create", [MONEY])

            assert await here.kinds(await here.make(30)) == ["succeeded"] * 30
            assert reasons(here) == {MONEY}

    run_virtual(main(), limit=7200)


@pytest.mark.parametrize("verb", ["retrieve", "results"])
def test_of_other_questions_about_a_batch_the_kind_of_trouble_is_told_alone(verb: str) -> None:
    async def main() -> None:
        async with carrier_world() as here:
            troubled(here, verb, [PROMPT])

            assert await here.kinds(await here.make(30)) == ["succeeded"] * 30
            assert reasons(here) == {f"billing_error: {LEFT_OUT_UNSEEN}"}

    run_virtual(main(), limit=7200)


def test_a_line_of_results_that_repeats_its_request_does_not_tell_it() -> None:
    async def main() -> None:
        async with carrier_world() as here:
            here.batches.fate = lambda params, run: denied(params.decode()) if run == 1 else answered()

            assert await here.kinds(await here.make(30)) == ["succeeded"] * 30
            assert reasons(here) == {f"billing_error: {LEFT_OUT_UNSEEN}"}

    run_virtual(main(), limit=7200)


class _Breaking:
    """Implements ``Stream``: a part, then trouble of ours."""

    def __init__(self, outcome: Outcome) -> None:
        self._parts: list[bytes | Outcome] = [b"event: ping\ndata: {}\n\n", outcome]

    async def read(self) -> bytes | Outcome:
        return self._parts.pop(0)

    async def close(self) -> None:
        """Nothing is held."""


class _Streams(ScriptedUpstream):
    async def stream(self, call: Call) -> Stream | Outcome:
        return _Breaking(denied(f"no: {call.params.decode()}"))


def test_a_stream_that_breaks_with_words_of_its_request_does_not_tell_them() -> None:
    async def main() -> None:
        async with world(_Streams()) as here:
            assert here.dispatcher is not None
            stream = await here.dispatcher.calls.stream(Call(PROMPT.encode(), "2023-06-01", batched=False))
            assert not isinstance(stream, Outcome)
            assert await stream.read()
            last = await stream.read()

            assert isinstance(last, Held)
            assert PROMPT in last.error.message  # who asked may read it
            await asyncio.sleep(0)
            assert reasons(here) == {LEFT_OUT}

    run_virtual(main(), limit=60)
