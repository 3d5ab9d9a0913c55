"""A model server that answers at once, or after a set time, and counts: the upstream of every measurement.

It must cost far less than what is measured against it, so it reads no more of HTTP than it needs: the end of the
headers and ``content-length``. It answers every POST with the same Message. ``GET /tally`` tells what it saw,
``GET /reset`` begins a new count.

    python -m bench.mock --port 0 --latency 0.05 --spread 0.5 --faults
"""

import argparse
import asyncio
import heapq
import itertools
import json
import random
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

TICK_SECONDS = 0.001
"""Answers that are due are looked for no more often, so an answer comes up to this much later than asked for."""

FAULTS = {"429": 0.02, "500": 0.01, "529": 0.01, "dropped": 0.005}
"""With ``--faults``: the share of calls that end so. A dropped call's connection is reset instead of answered."""

ERRORS = {"429": "rate_limit_error", "500": "api_error", "529": "overloaded_error"}


@dataclass(slots=True)
class Tally:
    """What the mock saw since it started, or since it was last reset. Times are seconds of one monotonic clock."""

    calls: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    cut: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    slot_seconds: float = 0.0
    first_at: float = 0.0
    last_at: float = 0.0
    cpu_seconds: float = 0.0


def message(text_bytes: int) -> bytes:
    text = ("A warm, well made thing that people like. " * (text_bytes // 42 + 1))[:text_bytes]
    usage = {"input_tokens": 120, "output_tokens": max(1, text_bytes // 4)}
    usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    answer = {
        "id": "msg_01BenchBenchBenchBenchBe",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def response(status: str, body: bytes, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def error_responses(retry_after: int) -> dict[str, bytes]:
    """Return the whole response for each status of the fault mix; the 429 asks for so many seconds of patience."""
    made = {}
    for status, kind in ERRORS.items():
        envelope = {"type": "error", "error": {"type": kind, "message": "made up"}, "request_id": None}
        extra = f"retry-after: {retry_after}\r\n" if status == "429" and retry_after else ""
        made[status] = response(status, json.dumps(envelope).encode(), extra)
    return made


class Mock:
    """The answers, the count, and the calls that wait for their time."""

    def __init__(
        self, latency: float, spread: float, text_bytes: int, *, faults: bool, retry_after: int = 0, seed: int = 1
    ) -> None:
        self.latency = latency
        self.spread = spread
        self.shortest = latency * (1 - spread)
        self.faults = faults
        self.chance = random.Random(seed)
        self.tally = Tally()
        self.success = response("200", message(text_bytes))
        self.errors = error_responses(retry_after)
        self.waiting: list[tuple[float, int, float, Connection]] = []
        self.order = itertools.count()
        self.ticking = False
        self.cpu_before = time.process_time()

    def reset(self) -> None:
        self.tally = Tally(in_flight=self.tally.in_flight, most_in_flight=self.tally.in_flight)
        self.cpu_before = time.process_time()

    def report(self) -> bytes:
        self.tally.cpu_seconds = time.process_time() - self.cpu_before
        return json.dumps(asdict(self.tally)).encode()

    def call(self, connection: "Connection") -> None:
        """A whole request has come in: answer it now, or when its time has come."""
        tally = self.tally
        now = time.monotonic()
        tally.calls += 1
        if not tally.first_at:
            tally.first_at = now
        if not self.latency:
            self.answer(connection, now, now)
            return
        tally.in_flight += 1
        tally.most_in_flight = max(tally.most_in_flight, tally.in_flight)
        due = now + self.latency
        if self.spread:
            due += self.latency * self.spread * (2 * self.chance.random() - 1)
        connection.since = now
        heapq.heappush(self.waiting, (due, next(self.order), now, connection))
        if not self.ticking:
            self.look_again(now)

    def tick(self) -> None:
        """Answer all that is due, and look again while anything waits."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, since, connection = heapq.heappop(self.waiting)
            if connection.since == since:
                self.end(connection, now)
                self.answer(connection, since, now)
        self.ticking = bool(self.waiting)
        if self.ticking:
            self.look_again(now)

    def look_again(self, now: float) -> None:
        """Tick when the next answer is due. A call that comes in the meantime is not due before ``shortest``."""
        self.ticking = True
        wait = min(self.waiting[0][0] - now, self.shortest)
        asyncio.get_running_loop().call_later(max(wait, TICK_SECONDS), self.tick)

    def end(self, connection: "Connection", now: float) -> None:
        self.tally.in_flight -= 1
        self.tally.slot_seconds += now - connection.since
        connection.since = 0.0

    def answer(self, connection: "Connection", since: float, now: float) -> None:
        kind = self.pick() if self.faults else "200"
        answers = self.tally.answers
        answers[kind] = answers.get(kind, 0) + 1
        self.tally.last_at = now
        if kind == "dropped":
            connection.transport.abort()
            return
        connection.transport.write(self.success if kind == "200" else self.errors[kind])
        if since != now:
            connection.take()

    def pick(self) -> str:
        at = self.chance.random()
        for kind, share in FAULTS.items():
            at -= share
            if at < 0:
                return kind
        return "200"


class Connection(asyncio.Protocol):
    """One client's connection: one call at a time, as HTTP/1.1 clients do."""

    transport: asyncio.Transport

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self.buffer = b""
        self.needed = 0
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, chunk: bytes) -> None:
        self.buffer = self.buffer + chunk if self.buffer else chunk
        if not self.since and len(self.buffer) >= self.needed:
            self.take()

    def take(self) -> None:
        """Take whole requests out of the buffer, until one has to wait for its answer."""
        while self.buffer and not self.since:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            total = end + 4 + body_length(self.buffer, end)
            if len(self.buffer) < total:
                self.needed = total
                return
            request, self.buffer, self.needed = self.buffer, self.buffer[total:], 0
            if request.startswith(b"POST"):
                self.mock.call(self)
            else:
                self.side_path(request)

    def side_path(self, request: bytes) -> None:
        if request.startswith(b"GET /reset "):
            self.mock.reset()
        self.transport.write(response("200", self.mock.report()))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.since:
            self.mock.tally.cut += 1
            self.mock.end(self, time.monotonic())


def body_length(buffer: bytes, end: int) -> int:
    at = buffer.find(b"Content-Length:", 0, end)
    if at < 0:
        at = buffer.lower().find(b"content-length:", 0, end)
    if at < 0:
        return 0
    stop = buffer.find(b"\r", at, end + 1)
    return int(buffer[at + 15 : stop])


async def serve(mock: Mock, port: int) -> None:
    # wrk and others open a thousand connections at once: a short backlog would make them wait a second for a retry.
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(mock), "127.0.0.1", port, backlog=4096)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.mock", description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--latency", type=float, default=0.0, help="seconds until a call is answered")
    options.add_argument("--spread", type=float, default=0.0, help="share of the latency it varies by, either way")
    options.add_argument("--faults", action="store_true", help="mix in 429, 500, 529 and dropped connections")
    options.add_argument("--retry-after", type=int, default=0, help="seconds that a 429 asks for; 0: it names none")
    options.add_argument("--text-bytes", type=int, default=200, help="length of each answer's text")
    chosen = options.parse_args()
    mock = Mock(chosen.latency, chosen.spread, chosen.text_bytes, faults=chosen.faults, retry_after=chosen.retry_after)
    uvloop.run(serve(mock, chosen.port))


if __name__ == "__main__":
    main()
