"""Bodies that come together are read in turns: no turn of the event loop has a step of two of them."""

import asyncio
from collections import Counter

import pytest

from batchyard.intake.body import Intake
from tests.wire.world import World

PATH = "/v1/messages/batches"


class _Loop(asyncio.SelectorEventLoop):
    """Counts its turns."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]


def test_no_turn_of_the_loop_has_a_step_of_two_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = _Loop()
    feeds: Counter[int] = Counter()
    feed = Intake.feed

    def counted(self: Intake, chunk: bytes, *, is_last: bool = False) -> object:
        feeds[loop.turns] += 1
        return feed(self, chunk, is_last=is_last)

    monkeypatch.setattr(Intake, "feed", counted)

    async def scenario() -> list[int]:
        world = World()
        app = world.app
        pads = [b"%d" % number * 700_000 for number in range(5)]
        bodies = [b'{"requests":[{"custom_id":"a","params":{"pad":"%b"}}]}' % pad for pad in pads]
        asked = [world.call("POST", PATH, body, app=app) for body in bodies]
        return [reply.status for reply in await asyncio.gather(*asked)]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(scenario()) == [200] * 5
    assert set(feeds.values()) == {1}
    assert len(feeds) >= 5 * 4
