"""The lanes over HTTP: shown and paused by a key for the server itself, and by no other."""

import asyncio
from collections.abc import Sequence

import pytest

from batchyard.domain.errors import NotFound
from batchyard.domain.lane_state import Board, LaneState, UpstreamState
from tests.wire.world import World

ADMIN = {"x-api-key": "key-admin"}
LANES = "/batchyard/v1/lanes"
LANE = LaneState(
    lane="local/org/m",
    upstream="local",
    model="org/m",
    state="held",
    waiting="held",
    pending=3,
    limit=1,
    bounded_by="outage",
    requests=0,
    calls=0,
    committing=0,
    opens_in=2.5,
    answers_per_second=None,
    seconds_usual=0.5,
    seconds_slow=1.5,
    last_trouble=None,
)


class Desk:
    """A ``LaneDesk`` that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Sequence[object]] = []

    def board(self) -> Board:
        upstream = UpstreamState(
            "local", 8, 4, taken=2, open=True, paused=False, carriers=None, waiting=2, running=9, room=None
        )
        return Board([upstream], [LANE])

    async def pause(self, upstream: str, model: str | None, *, paused: bool) -> str:
        if upstream != "local":
            raise NotFound(f"There is no upstream {upstream!r}.")
        self.asked.append((upstream, model, paused))
        return upstream if model is None else f"{upstream}/{model}"


def test_lanes_are_shown_as_they_are() -> None:
    async def main() -> None:
        told = (await World(lanes=Desk()).call("GET", LANES, headers=ADMIN)).json()

        assert told["upstreams"][0]["share"] == 4
        assert told["lanes"][0]["lane"] == "local/org/m"
        assert told["lanes"][0]["waiting"] == "held"
        assert told["lanes"][0]["last_trouble"] is None

    asyncio.run(main())


def test_an_upstream_or_one_lane_is_paused_and_resumed() -> None:
    async def main() -> None:
        world = World(lanes=(desk := Desk()))
        for path in ("/local/pause", "/local/org%2Fm/pause", "/local/org%2Fm/resume"):
            reply = await world.call("POST", LANES + path, headers=ADMIN)
            assert reply.status == 200

        assert reply.json() == {"lane": "local/org/m", "paused": False}
        assert desk.asked == [("local", None, True), ("local", "org/m", True), ("local", "org/m", False)]
        missing = await world.call("POST", f"{LANES}/far/pause", headers=ADMIN)
        assert missing.error()[:2] == (404, "not_found_error")

    asyncio.run(main())


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/local/pause"), ("POST", "/local/m/resume")])
def test_a_key_of_a_workspace_sees_and_stops_no_lane(method: str, path: str) -> None:
    async def main() -> None:
        world = World(lanes=(desk := Desk()))
        for key in ("key-one", "key-read", "key-cancel"):
            reply = await world.call(method, LANES + path, headers={"x-api-key": key})
            assert reply.error()[:2] == (403, "permission_error")
        assert desk.asked == []

    asyncio.run(main())
