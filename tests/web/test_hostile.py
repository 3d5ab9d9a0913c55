"""Whatever a model, a client or a person wrote is text on every page: the markup is the same as for a kind word."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from batchyard.domain.events import BugFound
from batchyard.domain.hooks import Hook, State
from batchyard.domain.labels import Labels
from batchyard.domain.lane_history import LaneMinute
from batchyard.domain.lane_state import Board, Trouble, UpstreamState
from batchyard.domain.result import Errored, RequestError, Result, Succeeded
from batchyard.ports import Told
from tests.web.hooks import SetHooks
from tests.web.hostile import BENIGN, HOSTILE
from tests.web.lanes import SetDesk, a_lane
from tests.web.visitor import Visitor, links, open_world, structure, text
from tests.wire.world import NOW, World

PAGES = (
    "/",
    "/?part=live",
    "/?{q}",
    "/usage",
    "/engine",
    "/engine/history?lane={text}",
    "/webhooks",
    "/webhooks/log?webhook={text}",
    "/usage?all=1",
    "/batches/{id}",
    "/batches/{id}?part=live",
    "/batches/{id}?done={text}",
    "/batches/{id}/problems?part=problems",
    "/batches/{id}/requests",
    "/batches/{id}/request?custom_id={text}a",
    "/batches/{id}/request?custom_id={text}b",
    "/batches/{id}/request?custom_id={text}",
    "/sign-in?next={text}",
    "/batches/{text}",
)

KEPT = re.compile(r'(?s)(value|data-copies)="[^"]*"|<textarea.*?</textarea>')
"""What is sent back or copied: it stays as it is, and is never shown in a line with other words."""


def params(words: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": words, "data": words}
    return {
        "model": words or "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": words, "cache_control": {"type": words}}],
        "metadata": {words: [words]},
        "tools": [{"name": words, "description": words, "input_schema": {"type": "object", "title": words}}],
        "messages": [
            {"role": words, "content": words},
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": source},
                    {"type": "image", "source": {"type": "url", "url": words}},
                    {"type": "document", "title": words, "source": source},
                    {"type": "document", "title": words, "source": {"type": "text", "data": words}},
                    {"type": "tool_result", "tool_use_id": words, "is_error": True, "content": words},
                    {"type": words, "x": words},
                    {"no": words},
                    words,
                ],
            },
            words,
        ],
    }


def message(words: str) -> bytes:
    content = [
        {"type": "text", "text": words, "citations": [{"cited_text": words}]},
        {"type": "thinking", "thinking": words, "signature": words},
        {"type": "tool_use", "id": words, "name": words, "input": {words: words}},
        {"type": words, "content": [{"type": "text", "text": words}]},
    ]
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": words}
    return json.dumps({"id": words, "type": "message", "role": words, "model": words, "content": content,
                       "stop_reason": words, "usage": usage}).encode()  # fmt: skip


async def world_of(words: str) -> tuple[World, str]:
    """Return a world with a batch that says it everywhere."""
    world = open_world()
    requests = [{"custom_id": each, "params": {**params(words), "model": "simulator"}} for each in "ab"]
    reply = await world.call("POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode())
    assert reply.status == 200, reply.body
    batch = str(reply.json()["id"])
    for row, letter in zip(world.store._batches[batch].rows, "ab", strict=True):
        row.custom_id = words + letter  # intake refuses such a custom_id; a page must not rely on that
    results: list[Result] = [Succeeded(message(words)), Errored(RequestError(words, words, words))]
    await world.finish(batch, *results)
    stored = world.store._batches[batch]
    stored.batch = replace(stored.batch, labels=Labels(words, ((words, words),)))
    trouble = Trouble(words, NOW)
    lane = a_lane(words, words, words, waiting=words, bounded_by=words, last_trouble=trouble)
    world.lanes = SetDesk(Board([UpstreamState(words, 1, 1, 1, open=True, paused=False, carriers=None)], [lane]))
    await world.store.beat(words, world.clock.now())
    minute = int(NOW.timestamp()) // 60
    kept = [LaneMinute(minute, lane, 1.0, 1.0, 1.0) for lane in (words, "\U0010fffd")]  # the second sorts last
    await world.store.lane_history.note(words, kept)
    told = Told(words, words, words, State.WAITING, 1, NOW, NOW, NOW, 500, words)
    world.webhooks = SetHooks([Hook(words, frozenset({words}), frozenset({words}), words)], [told])  # type: ignore[arg-type]
    return world, batch


async def shown(words: str) -> dict[str, str]:
    world, batch = await world_of(words)
    visitor, pages = Visitor(world), {}
    for path in PAGES:
        quoted = "".join(f"%{byte:02x}" for byte in words.encode("utf-8", "surrogatepass"))
        query = f"q={quoted}&label={quoted}&status={quoted}&after_id={batch}"
        where = path.replace("{q}", query).replace("{id}", batch).replace("{text}", quoted)
        reply = await visitor.go(where)
        known = ("next", "done", "webhook", "lane")
        is_found = not path.endswith(("={text}", "/{text}")) or any(word in path for word in known)
        assert reply.status == (200 if is_found else 404), (where, reply.body)
        pages[path] = text(reply)
    return pages


@pytest.fixture(scope="module")
def kind() -> dict[str, str]:
    return asyncio.run(shown(BENIGN))


@pytest.mark.parametrize("words", HOSTILE, ids=lambda words: ascii(words)[:40])
def test_hostile_words_make_no_markup_on_any_page(words: str, kind: dict[str, str]) -> None:
    for path, page in asyncio.run(shown(words)).items():
        assert structure(page) == structure(kind[path]), path
        for link in links(page):
            assert link.startswith(("/", "#", "?")), (path, link)
            assert not link.startswith("//"), (path, link)
        assert not set("\x00\x08\x1b\u202e\u2066\u2028") & set(KEPT.sub("", page)), path


def test_what_cannot_be_seen_is_made_visible() -> None:
    pages = asyncio.run(shown("invoice\u202efdp.exe\x1b[31m"))

    assert "invoice\\u202efdp.exe\\u001b[31m" in pages["/"]
    assert "invoice\\u202efdp.exe\\u001b[31m" in pages["/batches/{id}/request?custom_id={text}a"]


@pytest.mark.parametrize(
    "bytes_",
    [
        b'{"content":[{"type":"text","text":"\\ud800 half a pair"}]}',
        b"[" * 5000 + b"]" * 5000,
        b'{"content":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"content":[' + b",".join([b'{"type":"text","text":"x"}'] * 5000) + b"]}",
        b'{"content":[{"type":"text","text":"%b"}]}' % (b"x" * 500_000),
        b'{"content":[{"type":"text","text":7},{"type":[]},{},[],null,1e400,"x"],"usage":[],"role":{}}',
        b'{"content":{"a":1},"a":123456789012345678901234567890,"b":1.0000000000000000001}',
        b'{"content":[{"type":"tool_result","content":%b}]}'
        % (b'[{"type":"tool_result","content":' * 200 + b"[]" + b"}]" * 200),
        b"7",
        b'"text"',
        b"null",
    ],
    ids=range(11),
)
def test_an_answer_of_any_shape_is_shown(bytes_: bytes) -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create("a")
        await world.finish(batch, Succeeded(bytes_))
        reply = await Visitor(world).go(f"/batches/{batch}/request?custom_id=a")
        assert (reply.status, [event for event in world.events if isinstance(event, BugFound)]) == (200, [])
        assert len(reply.body) < 400_000

    asyncio.run(go())


def test_numbers_are_shown_as_they_were_written() -> None:
    async def go() -> None:
        world = open_world()
        batch = await world.create("a")
        tool = b'{"type":"tool_use","id":"t","name":"n","input":{"a":123456789012345678901234567890,"b":1.50}}'
        await world.finish(batch, Succeeded(b'{"role":"assistant","content":[%b]}' % tool))
        page = text(await Visitor(world).go(f"/batches/{batch}/request?custom_id=a"))
        assert "123456789012345678901234567890" in page
        assert "1.50" in page

    asyncio.run(go())
