"""A server with batches at every point of their lives, at a moment that stands still: what screenshots show."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.result import Errored, RequestError, Result, Succeeded
from batchyard.domain.usage import Usage
from batchyard.ports import Pick
from batchyard.web.keys import OpenKeys
from tests.wire.world import NOW, World

HAIKU, SONNET = "claude-haiku-4-5-20251001", "claude-sonnet-4-5-20250929"
OVERLONG = "prompt is too long: {n} tokens > 200000 maximum"
STARTED = NOW - timedelta(hours=30)


def open_world() -> World:
    """A world without a key, as it is on a laptop."""
    return World(keys=OpenKeys())


def png(width: int = 240, height: int = 96) -> bytes:
    """Return a picture: a bar chart of some days."""
    rows = []
    for y in range(height):
        row = bytearray(b"\0")
        for x in range(width):
            tall = 20 + (x // 24) * 37 % 70
            row += b"\x1f\x56\xc4" if x % 24 < 16 and height - y < tall else b"\xee\xf0\xf4"
        rows.append(bytes(row))

    def chunk(kind: bytes, held: bytes) -> bytes:
        return len(held).to_bytes(4, "big") + kind + held + zlib.crc32(kind + held).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


def message(text: str, model: str = HAIKU) -> bytes:
    """Return a Message that says this."""
    told = {
        "id": "msg_01AbCdEfGhIjKlMnOpQrStUv", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 412, "output_tokens": 96, "cache_read_input_tokens": 0},
    }  # fmt: skip
    return json.dumps(told).encode()


class Stage:
    """Makes batches in a world, and moves its clock."""

    def __init__(self, world: World, key: str | None = None) -> None:
        self.world, self._random, self._key = world, Random(7), key

    def at(self, hours: float) -> None:
        """Let it be so many hours after the start."""
        self.world.clock.moment = STARTED + timedelta(hours=hours)

    async def create(
        self, count: int, name: str = "", labels: str = "", *, model: str = HAIKU, params: Sequence[Any] | None = None
    ) -> str:
        """Make a batch of that many requests, or of these params."""
        usual = {"model": model, "max_tokens": 200, "messages": [{"role": "user", "content": "Classify this review."}]}
        asked = params or [usual] * count
        requests = [{"custom_id": f"review-{n:05}", "params": each} for n, each in enumerate(asked, 1)]
        headers: Mapping[str, str | None] = {"batchyard-name": name or None, "batchyard-labels": labels or None}
        if self._key:
            headers = {**headers, "x-api-key": self._key}
        reply = await self.world.call(
            "POST", "/v1/messages/batches", json.dumps({"requests": requests}).encode(), headers=headers
        )
        assert reply.status == 200, reply.body
        return str(reply.json()["id"])

    async def run(self, batch: str, fates: Sequence[Result], *, model: str = HAIKU, seconds: float = 1.8) -> None:
        """Let requests of the batch end like this, one after the other, within as many seconds as it says."""
        store, step = self.world.store, timedelta(seconds=seconds) / max(1, len(fates))
        turn = await store.turn("engine", [], [Pick(batch, model, len(fates))], self.world.clock.now())
        for lease, fate in zip(turn.leases, fates, strict=False):
            now = self.world.clock.now()
            took = timedelta(seconds=self._random.uniform(0.6, 2.4))
            good = isinstance(fate, Succeeded)
            used = Usage(self._random.randint(300, 900), self._random.randint(60, 220)) if good else Usage()
            trace = Trace("answered" if good else "refused", now - took, now)
            await store.turn("engine", [Finish(lease, fate, trace, used)], [], now)
            self.world.clock.moment += step

    async def at_once(self, batch: str, fates: Sequence[Result], *, model: str = HAIKU) -> None:
        """Let as many requests of the batch end like this in one turn."""
        now, store = self.world.clock.now(), self.world.store
        turn = await store.turn("engine", [], [Pick(batch, model, len(fates))], now)
        trace = Trace("answered", now, now)
        settled = [Finish(lease, fate, trace, Usage(400, 90)) for lease, fate in zip(turn.leases, fates, strict=True)]
        await store.turn("engine", settled, [], now)

    async def whole(self, batch: str, *fates: Result, model: str = HAIKU, minutes: float = 3.0) -> None:
        """Run it to its end: these fates, spread over many that succeed."""
        workspace = next(stored.batch.workspace for id_, stored in self.world.store._batches.items() if id_ == batch)
        total = (await self.world.store.get(workspace, batch)).counts.total
        all_fates: list[Result] = [Succeeded(message("positive", model))] * (total - len(fates)) + list(fates)
        self._random.shuffle(all_fates)
        await self.run(batch, all_fates, model=model, seconds=minutes * 60)
        await self.world.seal(batch)


def overlong(n: int) -> Errored:
    return Errored(RequestError("invalid_request_error", OVERLONG.format(n=n), "req_011CSHoEeqs5C35K2UUqR7Fy"))


def overloaded() -> Errored:
    return Errored(RequestError("overloaded_error", "Overloaded"))


async def stage(world: World) -> dict[str, str]:
    """Fill the world; return some batches by what they are for."""
    on = Stage(world)
    on.at(1)
    await on.whole(await on.create(400, "nightly-eval", "run=41, team=search"), minutes=6)
    on.at(7.2)
    failing = await on.create(600, "review-classification", "dataset=reviews-v3, team=search", model=SONNET)
    errors = [*[overlong(200_000 + 37 * n) for n in range(31)], *[overloaded()] * 9]
    await on.whole(failing, *errors, model=SONNET, minutes=14)
    on.at(20)
    canceled = await on.create(250, "", "team=ads")
    await on.run(canceled, [Succeeded(message("positive"))] * 80, seconds=40)
    await world.store.cancel("default", canceled, world.clock.now())
    await world.seal(canceled)
    on.at(25)
    await on.whole(await on.create(400, "nightly-eval", "run=42, team=search"), minutes=7)
    on.at(28.9)
    rich = await on.create(0, "support-triage", "team=support", params=[conversation(n) for n in range(3)])
    answer = (
        "The order was delivered, and the photo shows a broken corner, so this is damage in transit. The customer has "
        "the invoice and asks for a replacement, not a refund.\n\nTeam: logistics claims."
    )
    await on.run(rich, [Succeeded(message(answer))] * 3, seconds=60)
    await world.seal(rich)
    paused = await on.create(120, "embeddings-backfill", "team=search")
    await on.run(paused, [Succeeded(message("positive"))] * 30, seconds=40)
    await world.store.pause("default", paused, paused=True)
    on.at(29.75)
    running = await on.create(900, "product-descriptions", "lang=de, team=catalog")
    await on.run(
        running, [*[Succeeded(message("positive"))] * 540, *[overlong(210_000 + n) for n in range(4)]], seconds=800
    )
    fresh = await on.create(50, "", "team=search")
    on.at(29.9997)
    for number in (1, 2):
        await world.store.beat(f"gpu-{number}-4711-9f3c", world.clock.now())
    return {
        "failing": failing,
        "rich": rich,
        "running": running,
        "paused": paused,
        "fresh": fresh,
        "canceled": canceled,
    }


def conversation(n: int) -> dict[str, Any]:
    """Return params with everything that a request may hold."""
    picture = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png()).decode()}
    paper = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(b"%PDF-1.7" * 2300).decode()}
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    question = f"Order 77{n}1 arrived broken. The chart and the invoice are attached."
    asked = [
        {"type": "text", "text": question},
        {"type": "image", "source": picture},
        {"type": "document", "title": "invoice-7711.pdf", "source": paper},
    ]
    use = {"type": "tool_use", "id": "toolu_01A", "name": "lookup_order", "input": {"order_id": f"77{n}1"}}
    told = '{"state": "delivered", "carrier": "DHL"}'
    return {
        "model": HAIKU,
        "max_tokens": 500,
        "temperature": 0.2,
        "system": "You triage support mail. Answer in one short paragraph and name the team that should take it.",
        "tools": [{"name": "lookup_order", "description": "Returns the state of an order.", "input_schema": schema}],
        "messages": [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01A", "content": told}]},
        ],
    }
