"""A small server of the Message Batches API with faults by script, for what a client must put up with."""

import asyncio
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

BATCHES = "/v1/messages/batches"


@dataclass(frozen=True)
class Refuse:
    """Answer with an error, without any effect."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Drop:
    """Close the connection without an answer; ``effect`` is whether the call takes effect first."""

    effect: bool


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the answer, and close."""

    after: int


Fault = Refuse | Drop | Cut


@dataclass
class FakeBatch:
    id: str
    requests: list[dict[str, object]]
    looks: int
    canceled: bool = False
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def has_ended(self) -> bool:
        return self.looks <= 0

    def shown(self, base: str) -> dict[str, object]:
        total = len(self.requests)
        fates = [fate(request) for request in self.requests] if self.has_ended else []
        fates = [fate.partition(":")[0] for fate in fates]
        counts = {kind: fates.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": "ended" if self.has_ended else "in_progress",
            "request_counts": {"processing": 0 if fates else total, **counts},
            "ended_at": "2026-11-20T12:01:00.000000Z" if self.has_ended else None,
            "created_at": self.created_at,
            "expires_at": "2026-11-21T12:00:00.000000Z",
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{base}/v1/messages/batches/{self.id}/results" if self.has_ended else None,
        }


def fate(request: dict[str, object]) -> str:
    params = request["params"]
    assert isinstance(params, dict)
    return str(params.get("fate", "succeeded"))


def result_line(request: dict[str, object], usage: dict[str, int | None], model: str | None) -> bytes:
    kind, _, reason = fate(request).partition(":")
    result: dict[str, object] = {"type": kind}
    if kind == "succeeded":
        content, params = [{"type": "text", "text": "ja – ü"}], request["params"]
        assert isinstance(params, dict)
        named = model or params.get("model", "")
        result["message"] = {"type": "message", "model": named, "content": content, "usage": usage}
    if kind == "errored":
        words = "max_tokens: must be greater than or equal to 1"
        error = {"type": reason or "invalid_request_error", "message": words}
        result["error"] = {"type": "error", "error": error, "request_id": None, "message": error["message"]}
    return json.dumps({"custom_id": request["custom_id"], "result": result}, ensure_ascii=False).encode() + b"\n"


class FakeApi:
    """``faults`` holds, for each verb, what goes wrong with its next calls; ``calls`` what came in.

    Without ``knows_keys`` it is like the real service: each create that arrives makes a batch.
    """

    def __init__(
        self,
        *,
        looks: int = 1,
        backwards: bool = False,
        ranges: bool = True,
        prefix: str = "",
        knows_keys: bool = True,
        heals_after: int = 0,
    ) -> None:
        self.heals_after = heals_after
        """A request that was sent so often before succeeds, if its fate is one of the moment; 0: never."""
        self.sent: Counter[str] = Counter()
        self.usage: dict[str, int | None] = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": None}
        self.answering_model: str | None = None
        """The name that answers have in place of the one that was asked for."""
        self.counts_tokens = False
        self.counted: list[dict[str, object]] = []
        self.knows_keys = knows_keys
        self.looks = looks
        self.backwards = backwards
        self.ranges = ranges
        self.prefix = prefix
        self.base = ""
        self.batches: dict[str, FakeBatch] = {}
        self.keys: dict[str, str] = {}
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.faults: dict[str, deque[Fault | None]] = {}
        self.api_key: str | None = None
        self.largest_body = 2**28
        self.is_away: Callable[[], bool] = lambda: False
        """While this is so, every connection is closed without a word."""
        self.most_running: int | None = None
        self.full = Refuse(429, {"retry-after": "1"})
        """What a create is answered with while so many batches run."""
        self.piece: int | None = None
        """Bytes of an answer that are sent at a time, each followed by a moment of nothing."""
        self._runner: web.AppRunner | None = None

    def fail(self, verb: str, *faults: Fault | None) -> None:
        """Let the next calls go wrong like this; None is one that does not."""
        self.faults.setdefault(verb, deque()).extend(faults)

    def called(self, verb: str) -> list[dict[str, str]]:
        return [headers for name, headers in self.calls if name == verb]

    async def __aenter__(self) -> "FakeApi":
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}{self.prefix}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(self.prefix)
        if self.is_away():
            return drop(request)
        if path.startswith(BATCHES):
            response = await self._of_batches(request, path)
        else:
            response = await self._beside(request, path)
        return response if self.piece is None else await trickle(request, response, self.piece)

    async def _of_batches(self, request: web.Request, path: str) -> web.StreamResponse:
        parts = path.removeprefix(BATCHES).strip("/").split("/")
        batch_id = parts[0]
        verb = {
            ("POST", 0): "create",
            ("GET", 0): "list",
            ("GET", 1): "retrieve",
            ("DELETE", 1): "delete",
            ("POST", 2): "cancel",
            ("GET", 2): "results",
        }[request.method, len(parts) if batch_id else 0]
        self.calls.append((verb, {name.lower(): value for name, value in request.headers.items()}))
        if self.api_key is not None and request.headers.get("x-api-key") != self.api_key:
            return error(401, "API key is invalid.")
        fault = self.faults[verb].popleft() if self.faults.get(verb) else None
        if isinstance(fault, Refuse):
            await request.read()
            return error(fault.status, "scripted", fault.headers, fault.body)
        if fault == Drop(effect=False):
            return drop(request)
        if batch_id and batch_id not in self.batches:
            return error(404, f"Message Batch {batch_id} not found.")
        response = await getattr(self, f"_{verb}")(request, batch_id)
        if isinstance(fault, Drop):
            return drop(request)
        return await cut(request, response, fault.after) if isinstance(fault, Cut) else response

    async def _beside(self, request: web.Request, path: str) -> web.Response:
        if path == "/v1/messages/count_tokens" and self.counts_tokens:
            self.counted.append(await request.json())
            return web.json_response({"input_tokens": 500})
        if path == "/batchyard/v1/server" and self.knows_keys:
            return web.json_response({"name": "batchyard", "version": "0", "idempotency_key_seconds": 86_400})
        if path.startswith("/batchyard/v1/batches/") and path.endswith("/rerun") and self.knows_keys:
            return self._rerun(request, path.split("/")[-2])
        return error(404, "Not found: there is nothing at this path.")

    def _rerun(self, request: web.Request, batch_id: str) -> web.Response:
        fates, key = request.query["results"].split(","), request.headers["idempotency-key"]
        if key not in self.keys:
            left = [one for one in self.batches[batch_id].requests if fate(one).partition(":")[0] in fates]
            self.keys[key] = self.add(left).id
        return web.json_response(self.batches[self.keys[key]].shown(self.base))

    async def _create(self, request: web.Request, _batch_id: str) -> web.Response:
        body = await request.read()
        if len(body) > self.largest_body:
            return error(413, "Request exceeds the maximum size")
        running = sum(not batch.has_ended for batch in self.batches.values())
        if self.most_running is not None and running >= self.most_running:
            return error(self.full.status, "the queue is full", self.full.headers)
        key = request.headers.get("idempotency-key", "") if self.knows_keys else str(len(self.keys))
        if key not in self.keys:
            self.keys[key] = self.add(json.loads(body)["requests"]).id
        return web.json_response(self.batches[self.keys[key]].shown(self.base))

    def add(self, requests: list[dict[str, object]]) -> FakeBatch:
        """Make a batch, as a create does."""
        for request in requests:
            custom_id, lasting = str(request["custom_id"]), ("canceled", "invalid_request_error", "billing_error")
            if self.heals_after and self.sent[custom_id] >= self.heals_after and not fate(request).endswith(lasting):
                request["params"] = {}
            self.sent[custom_id] += 1
        batch = FakeBatch(f"msgbatch_{len(self.batches) + 1:024d}", requests, self.looks)
        self.batches[batch.id] = batch
        return batch

    async def _list(self, request: web.Request, _batch_id: str) -> web.Response:
        batches = sorted(self.batches.values(), key=lambda batch: batch.id, reverse=True)
        after = request.query.get("after_id", "~")
        batches = [batch for batch in batches if batch.id < after]
        limit = int(request.query.get("limit", "20"))
        page = [batch.shown(self.base) for batch in batches[:limit]]
        return web.json_response({"data": page, "has_more": len(batches) > limit, "first_id": None, "last_id": None})

    async def _retrieve(self, _request: web.Request, batch_id: str) -> web.Response:
        self.batches[batch_id].looks -= 1
        return web.json_response(self.batches[batch_id].shown(self.base))

    async def _cancel(self, _request: web.Request, batch_id: str) -> web.Response:
        self.batches[batch_id].canceled = True
        return web.json_response(self.batches[batch_id].shown(self.base) | {"processing_status": "canceling"})

    async def _delete(self, _request: web.Request, batch_id: str) -> web.Response:
        del self.batches[batch_id]
        return web.json_response({"id": batch_id, "type": "message_batch_deleted"})

    def _line(self, request: dict[str, object]) -> bytes:
        return result_line(request, self.usage, self.answering_model)

    async def _results(self, request: web.Request, batch_id: str) -> web.Response:
        requests = self.batches[batch_id].requests
        body = b"".join(self._line(one) for one in (reversed(requests) if self.backwards else requests))
        headers = {"content-type": "application/x-jsonl"}
        wanted = request.headers.get("range")
        if not self.ranges or wanted is None:
            return web.Response(body=body, headers=headers | ({"etag": '"same"'} if self.ranges else {}))
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return web.Response(status=416, headers={"content-range": f"bytes */{len(body)}"})
        headers |= {"content-range": f"bytes {start}-{len(body) - 1}/{len(body)}", "etag": '"same"'}
        return web.Response(status=206, body=body[start:], headers=headers)


def error(status: int, message: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> web.Response:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    told = {
        "type": "error",
        "error": {"type": kinds.get(status, "api_error"), "message": message},
        "request_id": "req_1",
    }
    return web.Response(status=status, body=body or json.dumps(told).encode(), headers=headers)


def drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def trickle(request: web.Request, response: web.StreamResponse, piece: int) -> web.StreamResponse:
    """Give the answer after a moment, and in small pieces."""
    whole = getattr(response, "body", None)
    if not isinstance(whole, bytes):
        return response
    slow = web.StreamResponse(status=response.status, headers=response.headers)
    slow.content_length = len(whole)
    await asyncio.sleep(0.01)
    await slow.prepare(request)
    for start in range(0, len(whole), piece):
        await slow.write(whole[start : start + piece])
        await asyncio.sleep(0)
    await slow.write_eof()
    return slow


async def cut(request: web.Request, response: web.Response, after: int) -> web.StreamResponse:
    whole = response.body
    assert isinstance(whole, bytes)
    broken = web.StreamResponse(status=response.status, headers=response.headers)
    broken.content_length = len(whole)
    await broken.prepare(request)
    await broken.write(whole[:after])
    assert request.transport is not None
    request.transport.close()
    return broken


@contextmanager
def running(api: FakeApi) -> Iterator[FakeApi]:
    """Serve on a thread of its own, for programs that are run as processes."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with api:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="fake api")
    thread.start()
    started.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
