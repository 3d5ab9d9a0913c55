"""The pages of webhooks: whose are seen by whom, what the log tells, and who may send a test."""

import asyncio

import pytest

from batchyard.domain.hooks import Hook, Kind
from tests.web.hooks import SetHooks, busy_hooks
from tests.web.visitor import Visitor, links, open_world, text
from tests.wire.world import World

LOG = "/webhooks/log?webhook="


def test_each_webhook_is_listed_with_what_it_hears_and_its_last_delivery() -> None:
    async def go() -> None:
        world = open_world()
        world.webhooks = busy_hooks()

        page = text(await Visitor(world).go("/webhooks"))

        for words in ("ops", "https://hooks.example.com", "batch.expiring", "search-team", "503 Service Unavailable"):
            assert words in page
        assert page.count('class="state paused"') == 1
        assert f"{LOG}ads-team" in links(page)

    asyncio.run(go())


def test_the_log_tells_when_what_and_when_again() -> None:
    async def go() -> None:
        world = open_world()
        world.webhooks = busy_hooks()

        page = text(await Visitor(world).go(f"{LOG}ops"))

        for words in ("delivered", "waiting", "failed", "in 1 min 11 s", "2026-03-02 08:58:00 UTC", "503 Service",
                      "its name cannot be resolved", "lane.provider/claude-haiku-4-5.2026030204"):  # fmt: skip
            assert words in page, words
        assert "/batches/msgbatch_01XvN8Qm3pAq" in links(page)
        assert (await Visitor(world).go(f"{LOG}nothing")).status == 404

    asyncio.run(go())


def test_a_workspace_sees_what_is_told_of_it_alone() -> None:
    async def go() -> None:
        world = World(webhooks=busy_hooks())
        visitor = Visitor(world)
        await visitor.sign_in()

        page = text(await visitor.go("/webhooks"))

        assert "search-team" in page
        assert "msgbatch_01Own" in text(await visitor.go(f"{LOG}search-team"))
        foreign = [await visitor.go(f"{LOG}{name}") for name in ("ops", "ads-team", "nothing")]
        assert [reply.status for reply in foreign] == [404, 404, 404]
        for shown in (page, *map(text, foreign)):
            assert "hooks.example.com" not in shown
            assert "ads.example.com" not in shown
            assert "msgbatch_01Foreign" not in shown

    asyncio.run(go())


def test_a_test_is_the_operators_to_send() -> None:
    async def go() -> None:
        hooks = busy_hooks()
        world = World(webhooks=hooks)
        usual, admin = Visitor(world), Visitor(world)
        await usual.sign_in()
        await admin.sign_in("key-admin")

        assert "Send test" not in text(await usual.go(f"{LOG}search-team"))
        assert (await usual.send("/webhooks/test", {"webhook": "search-team"})).status == 403
        assert hooks.tests == []
        assert "Send test" in text(await admin.go(f"{LOG}ops"))
        reply = await admin.send("/webhooks/test", {"webhook": "ops"})
        assert (reply.status, reply.header("location")) == (303, f"{LOG}ops&done=test")
        assert hooks.tests == ["ops"]
        assert "A test is on its way" in text(await admin.go(f"{LOG}ops&done=test"))
        assert (await admin.send("/webhooks/test", {"webhook": "nothing"})).status == 404
        assert (await admin.send("/webhooks/test", {"webhook": "ops", "token": "0" * 64})).status == 403
        assert (await admin.send("/webhooks/test", {"webhook": "ops"}, origin="http://evil.example")).status == 403
        assert hooks.tests == ["ops"]

    asyncio.run(go())


@pytest.mark.parametrize("key", ["key-submit", "key-cancel", "key-delete"])
def test_a_key_that_reads_nothing_sees_no_webhook(key: str) -> None:
    async def go() -> None:
        visitor = Visitor(World(webhooks=busy_hooks()))
        await visitor.sign_in(key)
        for path in ("/webhooks", f"{LOG}search-team"):
            assert (await visitor.go(path)).status == 403

    asyncio.run(go())


def test_a_server_without_webhooks_says_how_to_set_one() -> None:
    async def go() -> None:
        page = text(await Visitor(open_world()).go("/webhooks"))
        assert "[webhooks.ops]" in page
        assert "whsec_$(openssl rand -base64 32)" in page
        visitor = Visitor(World())
        await visitor.sign_in()
        assert "[webhooks.ops]" not in text(await visitor.go("/webhooks"))

    asyncio.run(go())


def test_no_more_of_a_log_is_read_than_is_shown() -> None:
    async def go() -> None:
        world, hooks = open_world(), busy_hooks()
        world.webhooks = SetHooks([Hook("ops", frozenset({Kind.ENDED}), frozenset("*"))], hooks.told[:1] * 200)
        page = text(await Visitor(world).go(f"{LOG}ops"))
        assert "the newest 50" in page
        assert page.count('id="told-') == 50

    asyncio.run(go())
