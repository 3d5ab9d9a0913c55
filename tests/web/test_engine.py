"""The page of what works: upstreams, lanes, workers; the operator's alone."""

import asyncio

from tests.web.lanes import busy_desk
from tests.web.visitor import Visitor, open_world, text
from tests.wire.world import World


def test_upstreams_and_lanes_tell_what_they_do_and_why_they_wait() -> None:
    async def go() -> None:
        world = open_world()
        world.lanes = busy_desk()
        await world.store.beat("machine-1-abcd", world.clock.now())

        page = text(await Visitor(world).go("/engine"))

        assert "local/Qwen/Qwen3-8B" in page
        assert "44 of 64" in page
        assert "its own slots are in use" in page
        assert "1,210" in page
        assert "it failed and is held" in page
        assert "24 s more" in page
        assert "overloaded_error: Overloaded" in page
        assert "closed at this hour" in page
        assert "22.4/s" in page
        assert "4.9 s" in page
        assert "machine-1-abcd" in page
        assert "alive" in page

    asyncio.run(go())


def test_a_lane_or_all_of_an_upstream_is_paused_and_resumed() -> None:
    async def go() -> None:
        world, desk = open_world(), busy_desk()
        world.lanes = desk
        visitor = Visitor(world)
        await visitor.go("/engine")

        for act, form in (
            ("pause", {"upstream": "local", "model": "Qwen/Qwen3-8B"}),
            ("pause", {"upstream": "local"}),
            ("resume", {"upstream": "provider", "model": ""}),
        ):
            reply = await visitor.send(f"/engine/{act}", form)
            assert (reply.status, reply.header("location")) == (303, "/engine")

        assert desk.asked == [("local", "Qwen/Qwen3-8B", True), ("local", None, True), ("provider", "", False)]
        assert (await visitor.send("/engine/pause", {"upstream": "nothing"})).status == 404

    asyncio.run(go())


def test_the_engine_is_the_operators() -> None:
    async def go() -> None:
        world, desk = World(), busy_desk()
        world.lanes = desk
        usual, admin = Visitor(world), Visitor(world)
        await usual.sign_in()
        assert (await admin.sign_in("key-admin")).header("location") == "/engine"

        assert (await usual.go("/engine")).status == 403
        await usual.go("/")
        assert "/engine" not in text(usual.page)
        assert (await usual.send("/engine/pause", {"upstream": "local"})).status == 403
        assert desk.asked == []
        assert (await admin.go("/engine")).status == 200
        assert (await admin.send("/engine/pause", {"upstream": "local"})).status == 303
        assert (await admin.go("/")).status == 403

    asyncio.run(go())
