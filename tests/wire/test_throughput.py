"""How fast it went: minute by minute, of the caller's workspace, over any time that is kept."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from batchyard.domain.usage import Minute, in_steps
from tests.wire.world import NOW, World

PATH = "/batchyard/v1/throughput"
EVERYBODY: dict[str, str | None] = {"x-api-key": "key-admin"}


async def points(world: World, query: str = "", path: str = PATH, headers: dict[str, str | None] | None = None) -> Any:
    reply = await world.call("GET", path + query, headers=headers)
    assert reply.status == 200, reply.body
    return reply.json()


def test_each_minute_has_a_point_whether_something_was_final_or_not() -> None:
    async def go() -> None:
        world = World()
        await world.finish(await world.create("a", "b"))
        other = await world.create("c", headers={"x-api-key": "key-two"})
        await world.finish(other)
        world.clock.moment = NOW + timedelta(minutes=2)

        told = await points(world, "?minutes=4")

        assert told["step_minutes"] == 1
        assert [one["at"] for one in told["data"]] == [
            f"2026-03-02T{text}:00.000000Z" for text in ("08:59", "09:00", "09:01", "09:02")
        ]
        assert [one["finished"] for one in told["data"]] == [0, 2, 0, 0]
        everybody = await points(world, "?minutes=4", f"{PATH}/all", EVERYBODY)
        assert [one["finished"] for one in everybody["data"]] == [0, 3, 0, 0]
        assert len((await points(world))["data"]) == 60

    asyncio.run(go())


def test_steps_are_summed_and_begin_at_whole_ones() -> None:
    async def go() -> None:
        world = World()
        await world.finish(await world.create("a", "b"))
        world.clock.moment = NOW + timedelta(minutes=7)

        told = await points(world, "?minutes=10&step=5")

        assert [one["at"][11:16] for one in told["data"]] == ["08:55", "09:00", "09:05"]
        assert [one["finished"] for one in told["data"]] == [0, 2, 0]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?minutes=0", "minutes: Input should be a whole number from 1 to 10080"),
        ("?minutes=", "minutes: Input should be a whole number from 1 to 10080"),
        ("?minutes=10081", "minutes: Input should be a whole number from 1 to 10080"),
        ("?step=1.5", "step: Input should be a whole number from 1 to 10080"),
        ("?minutes=10080", "step: 10080 minutes need a step of at least 7"),
    ],
)
def test_what_is_wrong_is_said(query: str, told: str) -> None:
    reply = asyncio.run(World().call("GET", PATH + query))

    assert reply.error() == (400, "invalid_request_error", told)


def test_what_all_did_takes_an_admin() -> None:
    assert asyncio.run(World().call("GET", f"{PATH}/all")).error()[0] == 403


def test_a_minute_outside_is_left_out_and_none_is_counted_twice() -> None:
    minutes = [Minute(minute, 1, 1, 10, 20) for minute in range(8, 17)]

    assert in_steps(minutes, 10, 15, 4) == [Minute(10, 4, 4, 40, 80), Minute(14, 2, 2, 20, 40)]
