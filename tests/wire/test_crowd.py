"""Nobody takes all there is: connections of an address, calls of a key, bytes of bodies."""

import asyncio

import pytest

from batchyard.domain.errors import Overloaded
from batchyard.testing.upstreams import ScriptedUpstream, always, answered
from batchyard.web.bodies import Budget
from batchyard.web.crowd import Crowd
from batchyard.web.server import Server
from batchyard.web.settings import WebSettings
from tests.wire.world import World, a_body

PATH = "/v1/messages/batches"
MESSAGES = "/v1/messages"


def test_an_address_has_so_many_connections_and_others_are_not_touched() -> None:
    crowd = Crowd(2)

    places = [crowd.enter("203.0.113.9") for _ in range(3)]
    assert places == ["203.0.113.9", "203.0.113.9", None]
    assert crowd.enter("203.0.113.10") is not None
    crowd.leave("203.0.113.9")
    assert crowd.enter("203.0.113.9") is not None


def test_a_client_of_ipv6_is_counted_by_its_network_and_a_mapped_one_as_ipv4() -> None:
    crowd = Crowd(1)

    assert crowd.enter("2001:db8::1") == "2001:db8::/64"
    assert crowd.enter("2001:db8::ffff:2") is None
    assert crowd.enter("2001:db8:0:1::1") == "2001:db8:0:1::/64"
    assert crowd.enter("::ffff:203.0.113.9") == "203.0.113.9"
    assert crowd.enter("203.0.113.9") is None


def test_this_machine_and_trusted_proxies_speak_for_others() -> None:
    crowd = Crowd(1, trusted=("10.0.0.0/8",))

    assert [crowd.enter(each) for each in ("127.0.0.1", "127.0.0.1", "::1", "::1", "10.1.2.3", "10.1.2.3", "")] == [
        ""
    ] * 7


class Strangers(Crowd):
    """Counts this machine as if it were another one."""

    def enter(self, address: str) -> str | None:
        return super().enter("203.0.113.9" if address == "127.0.0.1" else address)


def test_a_connection_too_many_is_told_and_closed_and_makes_room_again() -> None:
    async def scenario() -> None:
        server = Server(World().app, crowd=Strangers(2))
        await server.start("127.0.0.1", 0)
        try:
            held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"rate_limit_error" in answer
            writer.close()

            held[0][1].close()
            while server.connections > 1:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200 ")
            for each in (writer, held[1][1]):
                each.close()
        finally:
            await server.close(0.5)

    asyncio.run(scenario())


def test_a_key_makes_so_many_calls_at_once() -> None:
    async def scenario() -> None:
        world = World(settings=WebSettings(max_calls_per_key=2))
        waiting = asyncio.Event()
        get = world.store.page

        async def page(*arguments: object, **named: object) -> object:
            await waiting.wait()
            return await get(*arguments, **named)  # type: ignore[arg-type]

        world.store.page = page  # type: ignore[method-assign,assignment]
        app = world.app
        running = [asyncio.create_task(world.call("GET", PATH, app=app)) for _ in range(2)]
        await asyncio.sleep(0)
        too_many = await world.call("POST", PATH, a_body("a"), app=app, unread=True)
        assert (too_many.status, too_many.header("retry-after")) == (429, "1")
        other_key = await world.call("POST", PATH, a_body("a"), headers={"x-api-key": "key-one-b"}, app=app)
        assert other_key.status == 200

        waiting.set()
        assert [reply.status for reply in await asyncio.gather(*running)] == [200, 200]
        assert [(await world.call("GET", PATH, app=app)).status for _ in range(5)] == [200] * 5

    asyncio.run(scenario())


def test_a_budget_is_one_for_all_and_is_given_back() -> None:
    budget = Budget(100)
    with budget.part("w1") as first:
        first.hold(60)
        with budget.part("w2") as second:
            second.hold(40)
            second.hold(10)
            first.hold(90)
            with pytest.raises(Overloaded):
                second.hold(11)
        first.hold(100)
    with budget.part("w1") as third:
        third.hold(100)


def test_bodies_that_one_workspace_holds_leave_room_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        world = World(calls=ScriptedUpstream(always(answered(), seconds=3600.0)))
        monkeypatch.setattr("batchyard.web.api.Budget", lambda: Budget(1_000_000))
        app = world.app
        body = b'{"model":"simulator","max_tokens":1,"messages":"' + b"x" * 200_000 + b'"}'
        held = [asyncio.create_task(world.call("POST", MESSAGES, body, app=app)) for _ in range(9)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert [task.done() and task.result().status for task in held] == [False] * 3 + [529] * 6

        others = asyncio.create_task(world.call("POST", MESSAGES, body, headers={"x-api-key": "key-two"}, app=app))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not others.done()
        batch = await world.call("POST", PATH, a_body("a"), headers={"x-api-key": "key-three"}, app=app)
        assert batch.status == 200

        for task in (*held, others):
            task.cancel()
        await asyncio.gather(*held, others, return_exceptions=True)

    asyncio.run(scenario())


def test_creates_that_hold_too_much_together_are_sent_away_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        world = World()
        monkeypatch.setattr("batchyard.web.api.Budget", lambda: Budget(400_000))
        app = world.app
        large = a_body("a").replace(b"hello", b"x" * 700_000)
        reply = await world.call("POST", PATH, [large[:300_000], large[300_000:]], app=app)
        assert reply.error()[:2] == (529, "overloaded_error")
        assert reply.header("retry-after") == "5"
        assert await world.blobs.old(-1) == []

        for _ in range(3):
            assert (await world.call("POST", PATH, a_body("a"), app=app)).status == 200

    asyncio.run(scenario())
