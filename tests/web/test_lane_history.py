"""The page of what lanes did over time: the operator's alone."""

import asyncio

from batchyard.domain.lane_history import LaneMinute
from batchyard.web.dashboard.lanes import gathered
from tests.web.lanes import busy_desk, keep_history
from tests.web.visitor import Visitor, links, open_world, text
from tests.wire.world import World

PATH, LOCAL = "/engine/history", "local/Qwen/Qwen3-8B"


def test_a_lane_shows_what_it_did_and_leads_to_the_others() -> None:
    async def go() -> None:
        world = open_world()
        world.lanes = busy_desk()
        await keep_history(world)
        visitor = Visitor(world)

        page = text(await visitor.go(f"{PATH}?lane={LOCAL}&hours=6"))
        told = (await visitor.go(f"{PATH}.json?lane={LOCAL}&hours=6")).json()

        assert "?lane=provider%2Fclaude-haiku-4-5&hours=6" in links(page)
        assert f"{PATH}.json?lane=local%2FQwen%2FQwen3-8B&amp;hours=6" in page
        assert (told["minutes"], len(told["at"])) == (1, 360)
        last = int(world.clock.now().timestamp()) // 60 - 2  # at the full minute the one before may not be kept yet
        assert (told["at"][-1], told["limit"][-1]) == (last * 60, 48.0)
        assert 26.0 < told["busy"][-1] <= 48.0
        assert f"{PATH}?lane=local%2FQwen%2FQwen3-8B" in links(text(await visitor.go("/engine")))

    asyncio.run(go())


def test_points_are_averages_and_of_times_the_largest() -> None:
    found = [
        LaneMinute(10, "m", 8.0, 4.0, 100.0, 1.0, 3.0),
        LaneMinute(12, "m", 4.0, 2.0, 20.0, None, 5.0),
        LaneMinute(15, "m", 4.0, 2.0, 20.0, None, None),
        LaneMinute(17, "m", 8.0, 3.0, 8.0, 2.0, 2.0),
        LaneMinute(18, "m", 9.0, 9.0, 9.0, 9.0, 9.0),
    ]

    points = gathered(found, 10, 17, 3)

    assert points.at == [600, 780, 960]
    assert points.limit == [6.0, 4.0, 8.0]
    assert points.busy == [2.0, 2 / 3, 1.5]
    assert points.pending == [40.0, 20 / 3, 4.0]
    assert points.usual == [1.0, None, 2.0]
    assert points.slow == [5.0, None, 2.0]


def test_without_a_name_the_first_lane_is_shown_and_without_history_a_word() -> None:
    async def go() -> None:
        world = open_world()
        assert "No lane had anything to do" in text(await Visitor(world).go(PATH))
        await keep_history(world, hours=1)
        page = text(await Visitor(world).go(f"{PATH}?hours=1"))
        assert f"<h1><bdi>{LOCAL}</bdi></h1>" in page

    asyncio.run(go())


def test_the_history_is_the_operators() -> None:
    async def go() -> None:
        visitor, admin = Visitor(World()), Visitor(World())
        await visitor.sign_in()
        await admin.sign_in("key-admin")
        for path in (PATH, f"{PATH}.json?lane=x"):
            assert (await visitor.go(path)).status == 403
            assert (await admin.go(path)).status == 200

    asyncio.run(go())
