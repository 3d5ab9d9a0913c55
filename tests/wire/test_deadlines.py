"""The real deadlines, on virtual time: who is overdue when, with a transport that does what the test says."""

import asyncio
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from batchyard.testing.time import run_virtual
from batchyard.web.crowd import Crowd
from batchyard.web.protocol import KNOWN_CALLER, Connection, Deadlines

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


class Pipe(asyncio.Transport):
    """A transport whose client takes as many bytes as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.pending = 0
        self.reading = True
        self.ended = self.closing = self.aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.sent += data
        self.pending += len(data)

    def take(self, size: int | None = None) -> None:
        self.pending -= self.pending if size is None else size

    def get_write_buffer_size(self) -> int:
        return self.pending

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


class App:
    """Reads the whole body, unless it answers early; then waits to be let go, and answers."""

    def __init__(self) -> None:
        self.early = False
        self.known = False
        self.body = b""
        self.go = asyncio.Event()
        self.go.set()
        self.pause = asyncio.Event()
        self.pause.set()
        self.answer = b"ok"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][KNOWN_CALLER] = self.known
        await self.pause.wait()
        more = not self.early
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.body += message["body"]
            more = message["more_body"]
            await self.pause.wait()
        await self.go.wait()
        length = str(len(self.answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": self.answer})


class Line:
    """One connection, its pipe and its application."""

    def __init__(self) -> None:
        self.app = App()
        config = Config(self.app, http=Connection, ws="none", lifespan="off", interface="asgi3", log_config=None)
        config.load()
        self.loop = asyncio.get_running_loop()
        self.pipe = Pipe()
        self.connection = Connection(config, ServerState(), Deadlines(), lambda: None, self.loop, crowd=Crowd())
        self.connection.connection_made(self.pipe)

    async def overdue_after(self, seconds: float) -> bool:
        """Let time pass, and ask as the server does, each second."""
        for _ in range(int(seconds)):
            await asyncio.sleep(1)
            if self.connection.overdue(self.loop.time()):
                return True
        return False

    async def sends(self, data: bytes) -> None:
        self.connection.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_client_that_sends_nothing_has_thirty_seconds() -> None:
    async def scenario() -> None:
        line = Line()

        assert not await line.overdue_after(30)
        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_a_head_has_thirty_seconds_in_all_however_it_drips() -> None:
    async def scenario() -> None:
        line = Line()
        assert not await line.overdue_after(20)
        for byte in HEAD[:30]:
            await line.sends(bytes([byte]))
            assert not await line.overdue_after(1)
        await line.sends(HEAD[30:31])
        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_a_body_that_moves_every_now_and_then_is_kept_and_one_that_stops_is_not() -> None:
    async def scenario() -> None:
        line = Line()
        await line.sends(HEAD)
        for _ in range(9):
            assert not await line.overdue_after(29)
            await line.sends(b"x" * 10)

        assert not await line.overdue_after(30)
        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_time_in_which_we_do_not_read_is_not_the_clients() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.pause.clear()
        await line.sends(HEAD.replace(b"100", b"1000000") + b"x" * 70_000)
        assert not line.pipe.is_reading()

        assert not await line.overdue_after(600)
        line.app.pause.set()
        await asyncio.sleep(0)
        assert not await line.overdue_after(30)
        assert line.pipe.is_reading()
        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_time_that_the_answer_takes_us_is_not_the_clients() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.go.clear()
        await line.sends(HEAD + b"x" * 100)

        assert not await line.overdue_after(3600)
        line.app.go.set()
        await asyncio.sleep(1)
        assert line.pipe.sent.endswith(b"ok")

    run_virtual(scenario())


def test_a_client_that_waits_for_100_continue_is_not_overdue_while_we_do_not_ask() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.pause.clear()
        await line.sends(HEAD[:-2] + b"Expect: 100-continue\r\n\r\n")

        assert not await line.overdue_after(100)
        assert line.pipe.sent == b""
        line.app.pause.set()
        await asyncio.sleep(0.5)
        assert line.pipe.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.pipe.take()
        assert await line.overdue_after(32)

    run_virtual(scenario())


def test_an_answer_is_cut_after_thirty_seconds_without_a_byte_taken() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.answer = b"x" * 1000
        await line.sends(HEAD + b"x" * 100)
        for _ in range(9):
            assert not await line.overdue_after(29)
            line.pipe.take(1)

        assert not await line.overdue_after(30)
        assert await line.overdue_after(2)

    run_virtual(scenario())


def test_a_closing_connection_whose_last_bytes_nobody_takes_is_cut_too() -> None:
    async def scenario() -> None:
        line = Line()
        await line.sends(HEAD[:-2] + b"Connection: close\r\n\r\n" + b"x" * 100)
        assert line.pipe.is_closing()

        assert await line.overdue_after(32)

    run_virtual(scenario())


def test_an_idle_connection_is_kept_for_75_seconds() -> None:
    async def scenario() -> None:
        line = Line()
        for _ in range(2):
            await line.sends(HEAD + b"x" * 100)
            line.pipe.take()
            assert not await line.overdue_after(75)

        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_a_next_head_that_is_not_finished_has_thirty_seconds() -> None:
    async def scenario() -> None:
        line = Line()
        await line.sends(HEAD + b"x" * 100)
        line.pipe.take()
        assert not await line.overdue_after(60)
        await line.sends(HEAD[:5])

        assert not await line.overdue_after(30)
        assert await line.overdue_after(1)

    run_virtual(scenario())


def test_after_an_early_answer_a_strangers_body_is_drained_for_five_seconds_at_most() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.early = True
        await line.sends(HEAD.replace(b"100", b"268435456"))
        line.pipe.take()

        assert b"connection: close" in line.pipe.sent
        assert line.pipe.ended
        assert not line.pipe.is_closing()
        await line.sends(b"x" * 1000)
        assert not await line.overdue_after(5)
        assert await line.overdue_after(1)

    run_virtual(scenario())


def drained(line: Line, size: int, most: int) -> int:
    """Send parts until the connection is cut; return how many bytes it took."""
    for taken in range(0, most, size):
        if line.pipe.aborted:
            return taken
        line.connection.data_received(bytes(size))
    return most


def test_after_an_early_answer_one_megabyte_of_a_strangers_body_is_drained_at_most() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.early = True
        await line.sends(HEAD.replace(b"100", b"268435456"))

        assert drained(line, 65536, 1 << 25) <= (1 << 20) + 65536

    run_virtual(scenario())


def test_a_known_callers_body_is_drained_to_its_end_for_thirty_seconds() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.early = line.app.known = True
        size = 300 * 1024 * 1024
        await line.sends(HEAD.replace(b"100", str(size).encode()))
        line.pipe.take()
        assert drained(line, 1 << 20, size - (1 << 20)) == size - (1 << 20)

        assert not await line.overdue_after(30)
        assert not line.pipe.is_closing()
        await line.sends(bytes(1 << 20))
        assert line.pipe.is_closing()
        assert not line.pipe.aborted

    run_virtual(scenario())


def test_a_known_caller_that_stops_is_closed_after_thirty_seconds() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.early = line.app.known = True
        await line.sends(HEAD)
        line.pipe.take()

        assert await line.overdue_after(32)

    run_virtual(scenario())


def test_a_lost_connection_is_told_to_the_call_under_way_also_behind_pipelined_ones() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.go.clear()
        await line.sends((HEAD + b"x" * 100) * 3)
        active = cast(Any, line.connection)._active

        line.connection.connection_lost(None)

        assert active.disconnected

    run_virtual(scenario())


def test_a_flood_of_pipelined_calls_is_not_queued_without_end() -> None:
    async def scenario() -> None:
        line = Line()
        line.app.go.clear()
        await line.sends(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)

        assert len(line.connection.pipeline) <= 32
        line.app.go.set()
        await asyncio.sleep(1)
        assert line.pipe.sent.count(b"200 OK") == len(line.connection.pipeline) + 33
        assert line.pipe.sent.count(b"connection: close") == 1

    run_virtual(scenario())
