"""A whole API on the memory store, asked in process or over a socket, with an engine that does what a test says."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message

from batchyard.blobs.space import EndlessSpace
from batchyard.dispatch.board import LaneBoard
from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.sealer import seal
from batchyard.dispatch.spending import Spending
from batchyard.domain.access import USUAL, Scope
from batchyard.domain.call_events import CallAnswered
from batchyard.domain.events import Event
from batchyard.domain.forecast import Wait
from batchyard.domain.outcome import Finish, Trace
from batchyard.domain.result import Result, Succeeded
from batchyard.domain.spending import NO_CAPS, Caps
from batchyard.ports import Batches, Blobs, Calls, Keys, LaneDesk, Pick, Prices, Principal, Space, Webhooks
from batchyard.price_book import PriceBook
from batchyard.store.memory import MemoryStore
from batchyard.testing.blobs import MemoryBlobs
from batchyard.testing.upstreams import ScriptedUpstream
from batchyard.web.api import build_api
from batchyard.web.protocol import Deadlines
from batchyard.web.server import Server
from batchyard.web.settings import WebSettings
from batchyard.wire import result_line

T = TypeVar("T")
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "key-one"
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "host": "127.0.0.1:8787"}
KEYS = {
    "key-one": "w1",
    "key-one-b": "w1",
    "key-two": "w2",
    "key-three": "w3",
    **{f"key-{scope.value}": "w1" for scope in Scope},
}
SCOPES = {f"key-{scope.value}": frozenset({scope}) for scope in Scope}
"""Keys with one scope each; the others have the usual ones."""
MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"simulator","content":[{"type":"text","text":"hi"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
)


async def rendered() -> bytes:
    """Return metrics."""
    return b"batchyard_up 1\n"


class SetClock:
    """A ``Clock`` that stands still until it is moved; each look is a microsecond later, so that ids differ."""

    def __init__(self) -> None:
        self.moment = NOW
        self.seconds = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds


class TableKeys:
    """A ``Keys`` of a few known keys."""

    async def principal(self, key: str) -> Principal | None:
        workspace = KEYS.get(key)
        if workspace is None:
            return None
        return Principal(workspace, sha256(key.encode()).hexdigest(), SCOPES.get(key, USUAL))


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool = True

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> tuple[int, str, str]:
        """Status, type and message, after a look at the envelope around them."""
        envelope = self.json()
        assert list(envelope) == ["type", "error", "request_id"]
        assert envelope["type"] == "error"
        assert envelope["request_id"] == self.header("request-id")
        return self.status, envelope["error"]["type"], envelope["error"]["message"]


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    chunks: Sequence[bytes] = (),
    *,
    peer: str = "127.0.0.1",
    leaves: bool = False,
    unread: bool = False,
) -> Reply:
    """Make one call in process. ``leaves``: the client goes right after its body; ``unread``: nobody may read it."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 50000),
        "server": ("127.0.0.1", 8787),
        "state": {},
    }
    waiting: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks[:-1]]
    waiting.append({"type": "http.request", "body": chunks[-1] if chunks else b"", "more_body": False})
    reply = Reply(0, [], b"", whole=False)

    async def receive() -> Message:
        assert not unread, "the body is read"
        if waiting:
            return waiting.pop(0)
        if leaves:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            reply.body += message["body"]
            reply.whole = not message.get("more_body", False)

    await app(scope, receive, send)
    return reply


def a_body(*custom_ids: str) -> bytes:
    params = {"model": "simulator", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    return json.dumps({"requests": [{"custom_id": each, "params": params} for each in custom_ids]}).encode()


@dataclass
class World:
    """Everything behind one API, in sight."""

    settings: WebSettings = field(default_factory=WebSettings)
    store: MemoryStore = field(default_factory=MemoryStore)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    clock: SetClock = field(default_factory=SetClock)
    keys: Keys = field(default_factory=TableKeys)
    events: list[Event] = field(default_factory=list)
    """What was told, but for the line that each API call has: those are in ``answered``."""
    answered: list[CallAnswered] = field(default_factory=list)
    not_ready: str = ""
    metrics: Callable[[], Awaitable[bytes]] | None = None
    space: Space = field(default_factory=EndlessSpace)
    batches_seen_as: Batches | None = None
    blobs_seen_as: Blobs | None = None
    calls: Calls = field(default_factory=ScriptedUpstream)
    prices: Prices = field(default_factory=PriceBook)
    lanes: LaneDesk | None = None
    webhooks: Webhooks | None = None
    waits: Callable[[str], Wait | None] = lambda _model: None
    caps: Caps = NO_CAPS

    def tell(self, event: Event) -> None:
        """Keep an event."""
        if isinstance(event, CallAnswered):
            self.answered.append(event)
        else:
            self.events.append(event)

    @property
    def app(self) -> ASGIApp:
        return build_api(
            batches=self.batches_seen_as or self.store,
            upkeep=self.store,
            work=self.store,
            blobs=self.blobs_seen_as or self.blobs,
            calls=self.calls,
            lanes=self.lanes or self._no_lanes(),
            lane_history=self.store.lane_history,
            views=self.store.views,
            prices=self.prices,
            spending=Spending(self.store.views, self.prices, self.clock, self.events.append, caps=lambda _: self.caps),
            keys=self.keys,
            clock=self.clock,
            emit=self.tell,
            settings=self.settings,
            space=self.space,
            not_ready=lambda: self.not_ready,
            metrics=self.metrics,
            webhooks=self.webhooks,
            waits=self.waits,
        )

    def _no_lanes(self) -> LaneDesk:
        lanes = Lanes([], [], self.clock, self.events.append)
        return LaneBoard(
            lanes, self.store, self.clock, self.events.append, pending=dict[str, int], changed=lambda: None
        )

    async def call(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        *,
        headers: Mapping[str, str | None] | None = None,
        peer: str = "127.0.0.1",
        leaves: bool = False,
        unread: bool = False,
        app: ASGIApp | None = None,
    ) -> Reply:
        """Ask with the usual headers, changed by ``headers`` (None takes one away).

        Each call has an application of its own, unless ``app`` is given: it remembers how often it was called.
        """
        merged: dict[str, str | None] = {**HEADERS, **(headers or {})}
        lines = [(name, value) for name, value in merged.items() if value is not None]
        chunks = [body] if isinstance(body, bytes) else body
        return await ask(app or self.app, method, target, lines, chunks, peer=peer, leaves=leaves, unread=unread)

    async def create(self, *custom_ids: str, headers: Mapping[str, str | None] | None = None) -> str:
        reply = await self.call("POST", "/v1/messages/batches", a_body(*(custom_ids or ("a",))), headers=headers)
        assert reply.status == 200, reply.body
        self.clock.moment += timedelta(seconds=1)
        return str(reply.json()["id"])

    async def finish(self, batch_id: str, *results: Result) -> None:
        """Run the batch: its requests get these results in order, or a Message each; then seal it."""
        now = self.clock.now()
        turn = await self.store.turn("engine", [], [Pick(batch_id, "simulator", 100_000)], now)
        fates = list(results) or [Succeeded(MESSAGE)] * len(turn.leases)
        trace = Trace("answered", now, now)
        settled = [Finish(lease, fate, trace) for lease, fate in zip(turn.leases, fates, strict=False)]
        await self.store.turn("engine", settled, [], now)
        await self.seal(batch_id)

    async def seal(self, batch_id: str) -> None:
        for batch in await self.store.ripe():
            if batch.id == batch_id:
                assert await seal(self.store, self.blobs, self.clock, batch, result_line) is not None
                return
        raise AssertionError(f"{batch_id} is not ripe")

    async def ended(self, *custom_ids: str) -> str:
        """Return a batch whose requests all succeeded."""
        batch_id = await self.create(*(custom_ids or ("a",)))
        await self.finish(batch_id)
        return batch_id


@asynccontextmanager
async def serving(app: ASGIApp, deadlines: Deadlines | None = None) -> AsyncIterator[Server]:
    """A real server on a free port of the running loop."""
    server = Server(app, deadlines)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        await server.close(0.5)


@contextmanager
def serving_apart(world: World) -> Iterator[tuple[str, Callable[[Coroutine[Any, Any, T]], T]]]:
    """A real server in a thread, for clients that block; gives its URL, and a way to run things on its loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    server = Server(world.app)
    try:
        run(server.start("127.0.0.1", 0))
        yield server.url, run
    finally:
        run(server.close(0.5))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
