"""A batch whose requests begin alike in groups, shuffled, run against the simulator's prompt cache on virtual time."""

import asyncio
import json
import random
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from batchyard.domain.catalog import simulated
from batchyard.domain.outcome import Answered, Outcome
from batchyard.domain.request import Drafts, Origin
from batchyard.domain.run_order import ALONE
from batchyard.intake.prefix import Beginning, prefix
from batchyard.ports import Call, NewBatch
from batchyard.testing.time import run_virtual
from batchyard.upstream.simulator import Simulator, SimulatorSettings
from tests.simulation.world import World, world

BEGINNING = 1_500
"""Tokens that the requests of a group share: more than the least that the simulator's cache keeps."""
LATENCY = 20.0
"""Seconds of an answer, 30 % more or less: a cache that lives 5 minutes outlives few answers."""
LONGEST = 1_000_000.0
"""Virtual seconds within which a batch must have ended."""

_beginnings = msgspec.json.Decoder(Beginning)


@dataclass(frozen=True, slots=True)
class Work:
    """``groups`` beginnings, ``each`` requests with every one of them; ``slots`` are in flight at a time."""

    groups: int
    each: int
    slots: int
    seed: int = 1

    def bodies(self) -> list[bytes]:
        """Return the params, shuffled. Half of the groups share a system prompt, half their leading message."""
        bodies = [_params(group, number) for group in range(self.groups) for number in range(self.each)]
        random.Random(self.seed).shuffle(bodies)
        return bodies


@dataclass(slots=True)
class Used:
    """What the usage of the answers adds up to, in input tokens."""

    answers: int = 0
    given: int = 0
    read: int = 0
    written: int = 0

    @property
    def share(self) -> float:
        """The share of the input that was read from the cache."""
        return self.read / self.given

    def best(self, work: Work) -> float:
        """The largest share there could be: every beginning, all of one length, is written once."""
        return (self.read + self.written) * (1 - 1 / work.each) / self.given


class _Metered(Simulator):
    """Adds up what its answers used."""

    def __init__(self, settings: SimulatorSettings) -> None:
        super().__init__(settings, now=asyncio.get_running_loop().time)
        self.used = Used()

    async def attempt(self, call: Call) -> Outcome:
        outcome = await super().attempt(call)
        assert isinstance(outcome, Answered), outcome
        self.used.answers += 1
        self.used.given += outcome.input_tokens
        self.used.read += outcome.cache_read_tokens
        self.used.written += outcome.cache_write_tokens
        return outcome


def use(work: Work, *, together: bool) -> Used:
    """Run the batch and return what it used: in the order of runs, or else as if nobody shared a beginning."""

    async def main() -> Used:
        upstream = _Metered(SimulatorSettings(latency=LATENCY, jitter=0.3))
        async with world(upstream, limit=work.slots) as here:
            await _run(here, work.bodies(), together=together)
        return upstream.used

    return run_virtual(main(), limit=LONGEST)


async def _run(here: World, bodies: list[bytes], *, together: bool) -> None:
    drafts, writer, offset = Drafts(), here.blobs.writer("body"), 0
    drafts.lead = 2 * here.limit
    for number, params in enumerate(bodies):
        begins = prefix(_beginnings.decode(params), marked=True) if together else ALONE
        drafts.add(f"r{number}", offset, len(params), zlib.crc32(params), prefix=begins)
        await writer.write(params)
        offset += len(params)
    await writer.finish()
    now = here.clock.now()
    new = NewBatch("w", now, now + timedelta(hours=1000), "2023-06-01", (), writer.name)
    batch = await here.store.create(new, drafts, Origin("caller", "hash", 0), defend=False)
    here.wake()
    assert set(await here.kinds(await here.ended(batch))) == {"succeeded"}


def _params(group: int, number: int) -> bytes:
    words = f"{group:05d} " + "once " * (BEGINNING * 4 // 5)
    shared = [{"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}]
    question = {"type": "text", "text": f"Question {number:05d}?"}
    in_system = group % 2 == 0
    params: dict[str, Any] = {"model": simulated()[0].id, "max_tokens": 16}
    if in_system:
        params["system"] = shared
    params["messages"] = [{"role": "user", "content": [question] if in_system else [*shared, question]}]
    return json.dumps(params).encode()
