"""What the pages show and what their forms do."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from batchyard.domain.batch import Status
from batchyard.domain.events import BugFound
from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.result import Errored, RequestError, Result, Succeeded
from batchyard.domain.usage import Usage
from batchyard.ports import Pick
from batchyard.web.api import Api
from batchyard.web.dashboard.pages import POLICY
from tests.web.visitor import Visitor, links, open_world, text
from tests.wire.world import MESSAGE, NOW, World

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


async def create(world: World, requests: list[dict[str, Any]]) -> str:
    reply = await world.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())
    assert reply.status == 200, reply.body
    return str(reply.json()["id"])


async def settle(world: World, batch: str, *results: Result, usage: Usage | None = None) -> None:
    now = world.clock.now()
    turn = await world.store.turn("engine", [], [Pick(batch, "simulator", len(results))], now)
    trace = Trace("answered", now - timedelta(seconds=1.5), now)
    settled = [
        Finish(lease, result, trace, usage or Usage()) for lease, result in zip(turn.leases, results, strict=True)
    ]
    await world.store.turn("engine", settled, [], now)


def errored(message: str = "no", kind: str = "api_error") -> Errored:
    return Errored(RequestError(kind, message))


def test_every_page_keeps_to_itself_and_is_not_kept() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.ended("a")
        app = world.app
        assert isinstance(app, Api)
        paths = [route.path for route in app.pages.routes.all if route.method == "GET" and "." not in route.path]
        visitor = Visitor(world)
        for path in ["/sign-in", "/batches/nothing", *paths]:
            reply = await visitor.go(path.replace("{batch_id}", batch) + "?custom_id=a")
            if reply.header("content-type") != "text/html; charset=utf-8":
                continue
            assert len({name for name, _ in reply.headers}) == len(reply.headers), path
            assert reply.header("content-security-policy") == POLICY, path
            assert reply.header("cache-control") == "no-store", path
            assert reply.header("x-content-type-options") == "nosniff", path
            assert reply.header("x-frame-options") == "DENY", path
            assert reply.header("referrer-policy") == "same-origin", path
            assert "style=" not in text(reply), path
            assert all(link.startswith(("/", "?", "#")) for link in links(text(reply))), path
        assert "unsafe" not in POLICY
        assert "http" not in POLICY

    asyncio.run(go())


def test_without_batches_the_first_command_stands_there() -> None:
    async def go() -> None:
        visitor = Visitor(open_world())

        page = text(await visitor.go("/"))

        assert "No batches yet" in page
        assert "curl http://127.0.0.1:8787/v1/messages/batches" in page
        assert "batchyard run requests.jsonl" in page

    asyncio.run(go())


def test_the_list_has_the_newest_first_and_finds_by_name_label_and_status() -> None:
    async def go() -> None:
        world = open_world()
        ids = []
        for name, team in (("nightly", "search"), ("weekly", "ads"), ("", "")):
            headers = {"batchyard-name": name, "batchyard-labels": f"team={team}"} if name else None
            ids.append(await world.create("a", headers=headers))
        await world.finish(ids[0])
        visitor = Visitor(world)

        page = text(await visitor.go("/"))
        places = [page.index(f"row-{each}") for each in ids]
        assert places == sorted(places, reverse=True)

        async def found(query: str) -> list[str]:
            page = text(await visitor.go(f"/?{query}"))
            return [each for each in ids if f"row-{each}" in page]

        assert await found("q=NIGHT&label=&status=") == ids[:1]
        assert await found("label=team%3Dads") == ids[1:2]
        assert await found("label=team") == ids[:2]
        assert await found("label=team%3Dads,team%3Dsearch") == []
        assert await found("status=ended") == ids[:1]
        assert await found("status=in_progress&q=a") == ids[1:]
        assert await found("status=nonsense") == ids
        assert "No batch fits" in text(await visitor.go("/?q=nothing"))

    asyncio.run(go())


def test_a_long_list_goes_on_in_pages_both_ways() -> None:
    async def go() -> None:
        world = open_world()
        ids = [await world.create("a") for _ in range(120)][::-1]
        visitor = Visitor(world)
        page, seen = text(await visitor.go("/")), []
        assert "Newer" not in page
        while True:
            seen += [each for each in ids if f'id="row-{each}"' in page]
            older = [link for link in links(page) if "after_id" in link and "part" not in link]
            if not older:
                break
            page = text(await visitor.go(older[0]))
        assert seen == ids
        [newer] = [link for link in links(page) if "before_id" in link and "part" not in link]
        page = text(await visitor.go(newer))
        assert [each for each in ids if f'id="row-{each}"' in page] == ids[50:100]
        [part] = [link for link in links(page) if "part=live" in link]
        assert [each for each in ids if f'id="row-{each}"' in text(await visitor.go(part))] == ids[50:100]

    asyncio.run(go())


def test_a_row_tells_how_its_batch_goes() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create(*[f"r{n}" for n in range(10)])
        world.clock.moment = NOW + timedelta(seconds=20)
        used = Usage(input_tokens=1000, output_tokens=500)
        await settle(world, batch, *[Succeeded(MESSAGE)] * 3, errored(), usage=used)
        world.clock.moment = NOW + timedelta(seconds=40)

        page = text(await Visitor(world).go("/?part=live"))

        assert "4 of 10" in page
        assert ">1 errored<" in page
        assert 'aria-valuenow="40"' in page
        assert "6/min" in page  # 4 in 40 s
        assert "in progress" in page
        assert "<html" not in page

    asyncio.run(go())


def test_a_batchs_page_tells_its_timeline_outcomes_and_cost() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create("a", "b", "c", "d", headers={"batchyard-name": "nightly"})
        visitor = Visitor(world)
        page = text(await visitor.go(f"/batches/{batch}"))
        assert "<h1><bdi>nightly</bdi></h1>" in page
        assert "expires" in page
        assert "data-over" not in page
        await world.store.cancel("default", batch, NOW + timedelta(seconds=5))
        await world.store.turn("engine", [], [], NOW)
        await world.seal(batch)
        page = text(await visitor.go(f"/batches/{batch}?part=live"))
        assert "cancel asked" in page
        assert "4 canceled" in page
        assert "data-over" in page
        assert f"/batches/{batch}/results.jsonl" in page
        assert '<li class="ahead"><span>results are deleted, as old ones are</span>' in page
        assert "2026-03-31 09:00:00 UTC" in page  # 29 days after its create
        await world.store.archive(NOW + timedelta(days=29), NOW + timedelta(days=29))
        page = text(await visitor.go(f"/batches/{batch}?part=live"))
        assert "<span>results deleted, as old ones are</span>" in page
        assert 'class="ahead"' not in page

    asyncio.run(go())


def test_forms_do_what_the_api_does() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create("a", "b")
        visitor = Visitor(world)
        await visitor.go(f"/batches/{batch}")

        async def held() -> Any:
            return await world.store.get("default", batch)

        paused = await visitor.send(f"/batches/{batch}/pause")
        assert (paused.status, paused.header("location")) == (303, f"/batches/{batch}?done=paused")
        assert (await held()).paused
        assert "Nothing of it is sent now" in text(await visitor.go(f"/batches/{batch}"))
        await visitor.send(f"/batches/{batch}/resume")
        assert not (await held()).paused

        await visitor.send(f"/batches/{batch}/labels", {"name": "nightly", "labels": "team=search\r\nrun=1\r\n"})
        assert (await held()).labels.pairs == (("run", "1"), ("team", "search"))
        await visitor.send(f"/batches/{batch}/labels", {"name": "nightly", "labels": "team=ads"})
        assert ((await held()).labels.name, (await held()).labels.pairs) == ("nightly", (("team", "ads"),))
        wrong = await visitor.send(f"/batches/{batch}/labels", {"name": "x", "labels": "no equals"})
        assert (wrong.status, "key=value" in text(wrong)) == (400, True)

        assert (await visitor.send(f"/batches/{batch}/delete")).status == 400
        await settle(world, batch, Succeeded(MESSAGE), errored())
        await world.seal(batch)
        again = await visitor.send(f"/batches/{batch}/rerun")
        assert again.status == 303
        made = str(again.header("location")).removeprefix("/batches/").partition("?")[0]
        new = await world.store.get("default", made)
        assert (new.counts.total, dict(new.labels.pairs)["rerun-of"]) == (1, batch)

        assert (await visitor.send(f"/batches/{made}/cancel")).status == 303
        assert (await world.store.get("default", made)).status is Status.CANCELING
        assert (await visitor.send(f"/batches/{batch}/delete")).header("location") == "/"
        assert (await visitor.go(f"/batches/{batch}")).status == 404

    asyncio.run(go())


@pytest.mark.parametrize("sealed", [False, True])
def test_errors_stand_together_by_type_with_samples(sealed: bool) -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create(*[f"r{n}" for n in range(12)])
        failed = [errored(f"overlong by {n} tokens", "invalid_request_error") for n in range(8)]
        await settle(world, batch, Succeeded(MESSAGE), *failed, errored("broken"), errored("broken"))
        if sealed:
            await settle(world, batch, Succeeded(MESSAGE))
            await world.seal(batch)
        visitor = Visitor(world)
        for _ in range(2):
            page = text(await visitor.go(f"/batches/{batch}/problems?part=problems"))
            assert page.count('<details class="problem"') == 2
            assert page.index("invalid_request_error") < page.index("api_error")
            assert "<b>8</b>" in page
            assert "<b>2</b>" in page
            assert [link.partition("custom_id=")[2] for link in links(page) if "custom_id" in link] == [
                *("r1", "r2", "r3", "r4", "r5"),
                *("r9", "r10"),
            ]
            assert "and 3 more" in page

    asyncio.run(go())


@pytest.mark.parametrize("sealed", [False, True])
def test_a_request_is_shown_with_its_answer_and_attempts(sealed: bool) -> None:
    async def go() -> None:
        world = open_world()
        requests = [{"custom_id": f"r{n}", "params": params(f"question {n}")} for n in range(4)]
        batch = await create(world, requests)
        await settle(world, batch, Succeeded(MESSAGE), errored("broken"))
        if sealed:
            await world.store.cancel("default", batch, NOW)
            await world.seal(batch)
        visitor = Visitor(world)

        async def page(custom_id: str) -> str:
            return text(await visitor.go(f"/batches/{batch}/request?custom_id={custom_id}"))

        good = await page("r0")
        assert "question 0" in good
        assert ">hi<" in good
        assert "request 1 of 4" in good
        assert "1.5 s" in good
        assert '<img class="picture"' in good
        assert "report.pdf" in good
        assert "application/pdf" in good
        assert "get_weather" in good
        bad = await page("r1")
        assert "broken" in bad
        assert "question 1" in bad
        assert "request 2 of 4" in bad
        none = await page("r2")
        assert ("The batch was canceled" if sealed else "No answer yet") in none
        assert (await visitor.go(f"/batches/{batch}/request?custom_id=r9")).status == 404
        assert (await visitor.go(f"/batches/{batch}/request")).status == 404

        sent = await visitor.go(f"/batches/{batch}/request/params.json?custom_id=r0")
        assert json.loads(sent.body) == requests[0]["params"]
        assert sent.header("content-disposition") == 'attachment; filename="params.json"'
        result = await visitor.go(f"/batches/{batch}/request/result.json?custom_id=r0")
        assert json.loads(result.body) == {"type": "succeeded", "message": json.loads(MESSAGE)}

    asyncio.run(go())


def params(question: str) -> dict[str, Any]:
    picture = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    paper = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF" * 100).decode()}
    svg = {"type": "base64", "media_type": "image/svg+xml", "data": base64.b64encode(b"<svg onload=x>").decode()}
    liar = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"<html>").decode()}
    inside = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": picture}]}
    content = [
        {"type": "text", "text": question},
        *({"type": "image", "source": source} for source in (picture, svg, liar)),
        {"type": "document", "title": "report.pdf", "source": paper},
        inside,
    ]
    tool = {"name": "get_weather", "description": "Tells it", "input_schema": {"type": "object"}}
    return {
        "model": "simulator",
        "max_tokens": 5,
        "tools": [tool],
        "messages": [{"role": "user", "content": content}],
    }


def test_only_pictures_are_handed_out_as_pictures() -> None:
    async def go() -> None:
        world = open_world()
        batch = await create(world, [{"custom_id": "a", "params": params("?")}])
        visitor = Visitor(world)

        async def picture(number: str) -> Any:
            return await visitor.go(f"/batches/{batch}/request/picture?custom_id=a&number={number}")

        for number in ("0", "3"):  # the one in a tool's result too
            good = await picture(number)
            assert (good.status, good.body, good.header("content-type")) == (200, PNG, "image/png")
            assert good.header("content-security-policy") == "default-src 'none'; sandbox"
            assert good.header("x-content-type-options") == "nosniff"
        assert [(await picture(number)).status for number in ("1", "2", "4", "-1")] == [404, 404, 404, 200]

    asyncio.run(go())


def test_requests_are_listed_by_place_and_by_fate() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create(*[f"r{n}" for n in range(250)])
        visitor = Visitor(world)
        await settle(world, batch, *[Succeeded(MESSAGE)] * 120, *[errored()] * 120)

        async def listed(query: str = "") -> list[str]:
            page = text(await visitor.go(f"/batches/{batch}/requests?{query}"))
            return [link.partition("custom_id=")[2] for link in links(page) if "custom_id=" in link]

        assert await listed("first=200") == [f"r{n}" for n in range(200, 250)]
        await world.store.cancel("default", batch, NOW)
        await world.seal(batch)
        assert await listed() == [f"r{n}" for n in range(100)]
        assert await listed("first=200") == [f"r{n}" for n in range(200, 250)]
        assert await listed("fate=errored") == [f"r{n}" for n in range(120, 220)]
        assert await listed("fate=errored&first=100") == [f"r{n}" for n in range(220, 240)]
        assert await listed("fate=canceled") == [f"r{n}" for n in range(240, 250)]
        assert await listed("fate=expired") == []
        assert await listed("fate=nonsense&first=-1") == [f"r{n}" for n in range(100)]

    asyncio.run(go())


def test_downloads_are_saved_and_never_shown() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.ended("a", "b")
        visitor = Visitor(world)
        for name, whole in (("results", True), ("attempts", True)):
            reply = await visitor.go(f"/batches/{batch}/{name}.jsonl")
            assert (reply.status, reply.whole, len(reply.body.splitlines())) == (200, whole, 2)
            assert reply.header("content-disposition") == f'attachment; filename="{batch}-{name}.jsonl"'
            assert reply.header("content-security-policy") == "default-src 'none'; sandbox"
            assert len({name for name, _ in reply.headers}) == len(reply.headers)
        running = await world.create("a")
        assert (await visitor.go(f"/batches/{running}/results.jsonl")).status == 404

    asyncio.run(go())


def test_usage_tells_both_prices_by_model_and_day() -> None:
    async def go() -> None:
        world = open_world()
        requests = [{"custom_id": "a", "params": {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": []}}]
        batch = await create(world, requests)
        turn = await world.store.turn("engine", [], [Pick(batch, "claude-haiku-4-5", 1)], NOW)
        used = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
        finish = Finish(turn.leases[0], Succeeded(MESSAGE), Trace("answered", NOW, NOW), used)
        await world.store.turn("engine", [finish], [], NOW)
        visitor = Visitor(world)

        page = text(await visitor.go("/usage?days=7"))

        assert "$6.00" in page
        assert "$3.00" in page
        assert "claude-haiku-4-5" in page
        assert page.count('class="hit"') == 7
        [link] = [link for link in links(page) if link.startswith("/usage.csv")]
        table = await visitor.go(link)
        assert table.body.splitlines()[1].startswith(b"2026-03-02,default,claude-haiku-4-5,1,1000000,1000000")

    asyncio.run(go())


def test_all_workspaces_are_the_operators_to_see() -> None:
    async def go() -> None:
        world = World()
        theirs = await world.create("a", headers={"x-api-key": "key-two"})
        now = world.clock.now()
        turn = await world.store.turn("engine", [], [Pick(theirs, "simulator", 1)], now)
        finish = Finish(turn.leases[0], Succeeded(MESSAGE), Trace("answered", now, now), Usage(output_tokens=7))
        await world.store.turn("engine", [finish], [], now)
        visitor = Visitor(world)
        await visitor.sign_in()
        for path in ("/usage?all=1", "/usage.csv?format=csv&all=1"):
            assert "w2" not in text(await visitor.go(path))
        assert sum((await visitor.go("/throughput.json?all=1")).json()["succeeded"]) == 0

    asyncio.run(go())


def test_throughput_has_a_point_for_every_step_whatever_happened_in_it() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create("a", "b", "c")
        world.clock.moment = NOW
        await settle(world, batch, Succeeded(MESSAGE), errored(), usage=Usage(input_tokens=60, output_tokens=30))
        world.clock.moment = NOW + timedelta(minutes=7)
        await settle(world, batch, Succeeded(MESSAGE), usage=Usage(input_tokens=10, output_tokens=5))
        world.clock.moment = NOW + timedelta(minutes=9)
        visitor = Visitor(world)

        async def points(hours: str) -> Any:
            return (await visitor.go(f"/throughput.json?hours={hours}")).json()

        hour = await points("1")
        assert hour["at"] == [int(NOW.timestamp()) + 60 * n for n in range(-50, 10)]
        assert hour["succeeded"] == [0.0] * 50 + [1.0] + [0.0] * 6 + [1.0] + [0.0] * 2
        assert hour["failed"][50:] == [1.0] + [0.0] * 9
        day = await points("24")
        assert (day["minutes"], len(day["at"])) == (5, 288)
        assert [round(each, 6) for each in day["input_tokens"][-2:]] == [24.0, 2.0]
        assert await points("nonsense") == await points("6")
        page = text(await visitor.go("/throughput?hours=1"))
        assert page.count('<tr><th scope="row"') == 2
        assert [link for link in links(page) if "all" in link] != []

    asyncio.run(go())


def test_a_bug_is_told_to_the_log_and_shown_as_a_page() -> None:
    async def go() -> None:
        world = open_world()
        visitor = Visitor(world)
        await visitor.go("/")
        world.store._batches = None  # type: ignore[assignment]

        reply = await visitor.go("/?q=secret")

        assert reply.status == 500
        assert str(reply.header("request-id")) in text(reply)
        assert "NoneType" not in text(reply)
        assert len([event for event in world.events if isinstance(event, BugFound)]) == 1

    asyncio.run(go())
