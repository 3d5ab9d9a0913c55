"""One batch over upstreams of three kinds: one takes batches, one dies for a while, one fails in every way there is."""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import CountingUpstream, ServerProcess
from tests.e2e.test_kill import ledger_attempts
from tests.e2e.test_mixed import FailingUpstream, a_body, check_end, counted, read_bodies
from tests.e2e.test_routes import CountingChat

SLOTS = 32
TABLES = """
concurrency = {slots}
[upstreams.bad]
url = "{bad}"
timeout = "1s"
max_answer_bytes = 1000000
[upstreams.chat]
url = "{chat}"
api = "chat-completions"
[upstreams.far]
url = "{far}"
api = "batches"
key_env = "FAR_KEY"
carrier_requests = {most}
gather = "200ms"
poll = "500ms"
[[routes]]
models = ["a"]
to = ["bad"]
[[routes]]
models = ["b"]
to = ["chat"]
[[routes]]
models = ["c"]
to = ["far"]
"""


class MortalChat(CountingChat):
    """A server of chat completions that can die: every connection is cut, and nobody listens until it lives again."""

    def __init__(self, latency: float) -> None:
        super().__init__(latency)
        self._sockets = _two_at_one_port()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.cut = 0
        self.back_at = self.asked_again_at = 0.0

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
        super().__exit__()
        for left in self._sockets:
            left.close()

    def die(self, seconds: float) -> None:
        """Be gone for so long. ``cut``: calls that it had; ``asked_again_at``: when it was called again."""
        asyncio.run_coroutine_threadsafe(self._die(seconds), self._loop).result(seconds + 30)

    async def _die(self, seconds: float) -> None:
        assert self._server is not None
        self.cut = self.in_flight
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(seconds)
        await self._listen()
        self.back_at = self._loop.time()

    async def _listen(self) -> asyncio.Server:
        self._server = await asyncio.start_server(self._serve, sock=self._sockets.pop(0))
        return self._server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.back_at and not self.asked_again_at:
            self.asked_again_at = self._loop.time()
        try:
            await super()._serve(reader, writer)
        finally:
            self._writers.discard(writer)


def _two_at_one_port() -> list[socket.socket]:
    """The second one keeps the port while the first is closed: nobody listens there, and nobody else gets it.

    Their protocol is named, or asyncio does not see that it is TCP and leaves Nagle's algorithm on: each answer, sent
    in two parts, would then wait 40 ms for an acknowledgement.
    """
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) for _ in range(2)]
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sockets[0].bind(("127.0.0.1", 0))
    sockets[1].bind(sockets[0].getsockname())
    return sockets


@dataclass(frozen=True, slots=True)
class Ran:
    """What was seen of the batch; each list has one member for each request."""

    lines: list[dict[str, Any]]
    tried: list[dict[str, Any]]
    metrics: bytes
    far_batches: list[dict[str, Any]]


@pytest.mark.parametrize(
    ("requests", "dead_seconds"), [(240, 3.0), pytest.param(20_000, 60.0, marks=pytest.mark.accept)]
)
def test_one_batch_over_three_kinds_one_of_them_failing_and_one_dying(
    tmp_path: Path, requests: int, dead_seconds: float
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    with (
        CountingUpstream() as model,
        MortalChat(0.2) as chat,
        FailingUpstream(30, seed=requests) as bad,
        ServerProcess(tmp_path / "far" / "data", "--upstream", model.url) as far,
    ):
        most = max(30, requests // 20)
        tables = TABLES.format(slots=SLOTS, bad=bad.url, chat=chat.url, far=far.url, most=most)
        (tmp_path / "near" / "batchyard.toml").write_text(tables)
        with ServerProcess(tmp_path / "near" / "data", environ={"FAR_KEY": "any"}) as near:
            ran = run_batch(near, far, chat, requests, dead_seconds)
            assert near.stop() == 0
        assert far.stop() == 0

    assert [line["custom_id"] for line in ran.lines] == [f"r{number}" for number in range(requests)]
    assert [one["custom_id"] for one in ran.tried] == [line["custom_id"] for line in ran.lines]
    for line, one in zip(ran.lines, ran.tried, strict=True):
        check_end(line["result"], outcomes(one), must_succeed=one["seq"] % 3 > 0)
        if line["result"]["type"] == "succeeded" and one["seq"] % 3 > 0:
            assert line["result"]["message"]["content"][0]["text"] == f"say {line['custom_id']}"
    check_failing(bad, ran)
    check_dying(chat, ran)
    check_batched(model, ran, ledger_attempts(tmp_path / "far" / "data"))
    tell(requests, dead_seconds, chat, ran)


def run_batch(near: ServerProcess, far: ServerProcess, chat: MortalChat, requests: int, dead_seconds: float) -> Ran:
    path = f"/v1/messages/batches/{near.call('POST', '/v1/messages/batches', a_body(requests))['id']}"
    wait_until(lambda: len(chat.calls) > requests // 30, 60.0)
    chat.die(dead_seconds)
    wait_until(lambda: near.call("GET", path)["processing_status"] == "ended", 120 + requests / 20)
    lines = near.results(path.rpartition("/")[2])
    _, ledger = near.raw("GET", f"/batchyard{path.replace('/messages', '')}/attempts")
    metrics = near.raw("GET", "/metrics")[1]
    far_batches = far.call("GET", "/v1/messages/batches?limit=1000")["data"]
    return Ran(lines, [json.loads(line) for line in ledger.splitlines()], metrics, far_batches)


def wait_until(done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.2)


def outcomes(one: dict[str, Any]) -> list[str]:
    return [trace[0] for trace in one["traces"]]


def check_failing(bad: FailingUpstream, ran: Ran) -> None:
    """What it saw is what the ledger says; what was never sent is free."""
    tried = ran.tried[0::3]
    seen = Counter(json.loads(body)["messages"][0]["content"] for body in read_bodies(bad))
    assert all(seen[f"say {one['custom_id']}"] <= one["attempts"] for one in tried)
    made = sum(one["attempts"] for one in tried)
    free = sum(outcomes(one).count("notstarted") for one in tried)
    assert made - free <= bad.server.calls <= made + counted(ran.metrics, b"batchyard_canaries_total")


def check_dying(chat: MortalChat, ran: Ran) -> None:
    """Only what was in flight at its death was sent to it twice, and each of those is marked."""
    asked = Counter({json.loads(body)["messages"][-1]["content"]: calls for body, calls in chat.calls.items()})
    for one in ran.tried[1::3]:
        calls, unknown = asked[f"say {one['custom_id']}"], outcomes(one).count("unknown")
        assert one["attempts"] == len(outcomes(one))
        assert unknown == one["paid"] <= 1
        assert 1 <= calls <= 1 + unknown
    assert sum(one["paid"] for one in ran.tried[1::3]) <= SLOTS
    assert chat.cut <= SLOTS


def check_batched(model: CountingUpstream, ran: Ran, far_attempts: int) -> None:
    """Every request went once: by our ledger, by the other server's counts, and by the model server's behind it."""
    tried = ran.tried[2::3]
    assert {one["attempts"] for one in tried} == {1}
    assert sum(one["paid"] for one in tried) == 0
    assert sum(one["request_counts"]["succeeded"] for one in ran.far_batches) == len(tried)
    assert all(sum(one["request_counts"].values()) == one["request_counts"]["succeeded"] for one in ran.far_batches)
    assert far_attempts == len(model.calls) == len(tried)
    assert model.repeated == 0


def tell(requests: int, dead_seconds: float, chat: MortalChat, ran: Ran) -> None:
    """Say the figures (``pytest -s`` shows them)."""
    alive = chat.last_at - chat.first_at - dead_seconds
    kinds = dict(Counter(line["result"]["type"] for line in ran.lines))
    ends = dict(sorted(Counter(name for one in ran.tried[0::3] for name in outcomes(one)).items()))
    twice = sum(one["paid"] for one in ran.tried[1::3])
    share, silent = chat.busy_seconds / SLOTS / alive, chat.asked_again_at - chat.back_at
    for line in (
        f"\n{requests} requests: {kinds}; outcomes at the failing one: {ends}",
        f"the dying one: {chat.cut} calls cut, {twice} sent again; {share:.3f} of its {SLOTS} slots in use over the",
        f"  {alive:.0f} s that it lived, {silent:.1f} s of them before it was asked again",
        f"the one that takes batches: {len(ran.far_batches)} carriers, no request twice",
    ):
        sys.stdout.write(f"{line}\n")
