"""Connections over real sockets: stuck ones close, slow ones stay, and a refused client can read why."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from batchyard.web.protocol import Deadlines
from batchyard.web.server import Server
from batchyard.web.settings import WebSettings
from batchyard.web.sockets import CannotListen
from tests.wire.world import World, a_body, serving

PATH = "/v1/messages/batches"
QUICK = Deadlines(
    head_seconds=0.3,
    body_seconds=0.3,
    answer_seconds=0.3,
    idle_seconds=0.6,
    stranger_drain_seconds=0.3,
    caller_drain_seconds=5.0,
)
PATIENT = Deadlines()
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def head(line: str, **headers: str) -> bytes:
    named = {"host": "127.0.0.1", "x-api-key": "key-one", "anthropic-version": "2023-06-01", **headers}
    lines = [line, *(f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Clients:
    """Connections to one server, all closed at the end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, **options: Any) -> Streams:
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port, **options)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def clients_of(app: Any, deadlines: Deadlines = PATIENT) -> AsyncIterator[Clients]:
    async with serving(app, deadlines) as server:
        here = Clients(server)
        try:
            yield here
        finally:
            await here.close()


async def one_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer by its Content-Length, past any 100."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    if status == 100:
        return await one_answer(reader)
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return status, headers, await reader.readexactly(int(headers["content-length"]))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Wait until the server closes; return what came before."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""


def on_a_server(
    scenario: Callable[[Clients], Coroutine[Any, Any, None]], *, app: Any = None, deadlines: Deadlines = PATIENT
) -> None:
    async def main() -> None:
        async with clients_of(app or World().app, deadlines) as here:
            await asyncio.wait_for(scenario(here), 20)

    asyncio.run(main())


def test_several_calls_share_a_connection() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        body = a_body("a")
        for _ in range(2):
            writer.write(head(f"POST {PATH} HTTP/1.1", content_length=str(len(body))) + body)
            status, headers, _ = await one_answer(reader)
            assert status == 200
            assert "server" not in headers
            assert headers["date"].endswith("gmt")

    on_a_server(scenario)


def test_pipelined_calls_are_answered_in_order() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        body = a_body("a")
        create = head(f"POST {PATH} HTTP/1.1", content_length=str(len(body))) + body
        writer.write(create + head("GET /nothing HTTP/1.1") + head(f"GET {PATH} HTTP/1.1"))

        assert [(await one_answer(reader))[0] for _ in range(3)] == [200, 404, 200]

    on_a_server(scenario)


def test_a_chunked_body_is_read_and_its_trailers_are_no_headers() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        body = a_body("a", "b")
        chunked = b"".join(
            b"%x\r\n%b\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9)
        )
        writer.write(head(f"POST {PATH} HTTP/1.1", transfer_encoding="chunked") + chunked)
        writer.write(b"0\r\nidempotency-key: " + b"k" * 300 + b"\r\n\r\n")

        status, _, answer = await one_answer(reader)

        assert (status, json.loads(answer)["request_counts"]["processing"]) == (200, 2)

    on_a_server(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\x03\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nx: a\x00b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"a" * 3_000_000, 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_is_no_http_gets_an_envelope_and_an_end(sent: bytes, status: int) -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(sent)

        got, headers, body = await one_answer(reader)

        assert got == status
        assert headers["connection"] == "close"
        envelope = json.loads(body)
        assert envelope["error"]["type"] == "invalid_request_error"
        assert envelope["request_id"].lower() == headers["request-id"]
        await closed(reader)

    on_a_server(scenario, deadlines=QUICK)


def test_garbage_behind_a_call_ends_the_connection_after_its_answer() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"GET {PATH} HTTP/1.1") + b"GARBAGE\r\n\r\n")

        status, headers, _ = await one_answer(reader)

        assert (status, headers["connection"]) == (200, "close")
        assert await closed(reader) == b""

    on_a_server(scenario, deadlines=QUICK)


def test_a_broken_chunk_is_a_400_and_leaves_no_batch() -> None:
    world = World()

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"POST {PATH} HTTP/1.1", transfer_encoding="chunked") + b'a\r\n{"requests\r\nzz\r\n')

        assert (await one_answer(reader))[0] == 400
        await closed(reader)

    on_a_server(scenario, app=world.app, deadlines=QUICK)

    assert world.blobs.names == set()


def test_an_offer_to_upgrade_does_not_lose_the_body() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        body = a_body("a")
        offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAMAAABk"}
        writer.write(head(f"POST {PATH} HTTP/1.1", content_length=str(len(body)), **offer) + body[:20])
        writer.write(body[20:] + head(f"GET {PATH} HTTP/1.1"))

        assert [(await one_answer(reader))[0] for _ in range(2)] == [200, 200]

    on_a_server(scenario)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", head("GET / HTTP/1.1")[:-2]])
def test_an_unfinished_head_is_closed(sent: bytes) -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(sent)

        assert await closed(reader) == b""

    on_a_server(scenario, deadlines=QUICK)


def test_a_body_that_does_not_move_is_closed_and_leaves_nothing() -> None:
    world = World()

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"POST {PATH} HTTP/1.1", content_length="1000") + b'{"requests"')

        assert await closed(reader) == b""

    on_a_server(scenario, app=world.app, deadlines=QUICK)

    assert world.blobs.names == set()


def test_an_idle_connection_is_closed_after_its_own_time() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"GET {PATH} HTTP/1.1"))
        await one_answer(reader)

        assert await closed(reader) == b""

    on_a_server(scenario, deadlines=QUICK)


def a_long_answer(size: int) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An application whose answer is that long."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for at in range(0, size, 65536):
            part = bytes(min(65536, size - at))
            await send({"type": "http.response.body", "body": part, "more_body": at + len(part) < size})

    return app


def test_a_client_that_takes_no_byte_of_its_answer_is_cut() -> None:
    size = 30_000_000

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect(limit=1024)
        writer.write(head("GET / HTTP/1.1"))
        await asyncio.sleep(1.2)

        assert len(await closed(reader)) < size

    on_a_server(scenario, app=a_long_answer(size), deadlines=QUICK)


def test_a_slow_reader_that_moves_gets_all_of_it() -> None:
    size = 6_000_000

    async def scenario(here: Clients) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (here.server.host, here.server.port))
        await loop.sock_sendall(sock, head("GET / HTTP/1.1"))
        taken = 0
        for _ in range(15):
            taken += len(await loop.sock_recv(sock, 32768))
            await asyncio.sleep(0.05)
        while taken < size and (part := await loop.sock_recv(sock, 1 << 20)):
            taken += len(part)
        assert taken > size
        sock.close()

    on_a_server(scenario, app=a_long_answer(size), deadlines=QUICK)


async def send_all(writer: asyncio.StreamWriter, sent: bytes, size: int) -> int:
    """Send so many bytes, unless the server ends it; return how many could be sent."""
    done = 0
    try:
        while done < size:
            writer.write(sent[: size - done])
            await writer.drain()
            done += len(sent[: size - done])
    except ConnectionError:
        pass
    return done


def test_a_stranger_can_read_the_401_and_little_of_its_body_is_taken() -> None:
    size = 256 * 1024 * 1024

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"POST {PATH} HTTP/1.1", x_api_key="wrong", content_length=str(size)))
        sending = asyncio.create_task(send_all(writer, b"a" * 65536, size))

        status, headers, _ = await one_answer(reader)

        assert (status, headers["connection"]) == (401, "close")
        assert await sending < size // 8  # the rest is what the two kernels hold between them

    on_a_server(scenario)


def test_a_stranger_that_waits_is_closed_after_the_drain() -> None:
    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        writer.write(head(f"POST {PATH} HTTP/1.1", x_api_key="wrong", content_length="100"))
        await one_answer(reader)

        assert await closed(reader) == b""
        await asyncio.sleep(0.6)
        assert not here.server.connections

    on_a_server(scenario, deadlines=QUICK)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_caller_that_sends_all_of_a_body_too_large_can_read_the_413_after(chunked: bool) -> None:
    world = World(WebSettings(max_body_bytes=1_000_000))
    part = b" " * 65536

    async def scenario(here: Clients) -> None:
        reader, writer = await here.connect()
        coding = {"transfer_encoding": "chunked"} if chunked else {"content_length": str(400 * len(part))}
        writer.write(head(f"POST {PATH} HTTP/1.1", **coding))
        for _ in range(400):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")

        status, headers, _ = await one_answer(reader)

        assert (status, headers["connection"]) == (413, "close")
        assert await closed(reader) == b""

    on_a_server(scenario, app=world.app)

    assert world.blobs.names == set()


def test_100_continue_is_said_only_when_the_body_will_be_read() -> None:
    async def scenario(here: Clients) -> None:
        body = a_body("a")
        for key, first in [("key-one", b"HTTP/1.1 100 "), ("wrong", b"HTTP/1.1 401 ")]:
            reader, writer = await here.connect()
            expecting = {"expect": "100-continue", "content_length": str(len(body)), "x_api_key": key}
            writer.write(head(f"POST {PATH} HTTP/1.1", **expecting))
            assert (await reader.readexactly(13)) == first
            if key == "key-one":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(body)
                assert (await one_answer(reader))[0] == 200

    on_a_server(scenario)


def test_a_client_that_leaves_while_its_batch_is_made_is_no_trouble() -> None:
    world = World()

    async def scenario(here: Clients) -> None:
        _, writer = await here.connect()
        writer.write(head(f"POST {PATH} HTTP/1.1", content_length="1000") + b'{"requests"')
        await writer.drain()
        writer.transport.abort()
        while here.server.connections:
            await asyncio.sleep(0.01)

    on_a_server(scenario, app=world.app)

    assert world.blobs.names == set()
    assert world.events == []


def test_a_cut_download_is_seen_as_cut() -> None:
    async def scenario() -> None:
        world = World(WebSettings(read_bytes=64))
        batch_id = await world.ended("a", "b")
        [name] = [each for each in world.blobs.names if each.endswith(".results")]
        world.blobs.flip(name, 200)
        async with clients_of(world.app) as here:
            reader, writer = await here.connect()
            writer.write(head(f"GET {PATH}/{batch_id}/results HTTP/1.1"))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await asyncio.wait_for(one_answer(reader), 5)

    asyncio.run(scenario())


def test_head_on_results_keeps_the_connection() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        async with clients_of(world.app) as here:
            reader, writer = await here.connect()
            writer.write(head(f"HEAD {PATH}/{batch_id}/results HTTP/1.1") + head("GET /healthz HTTP/1.1"))
            got = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert got.startswith(b"http/1.1 200")
            assert b"content-length: 2" in got
            assert (await one_answer(reader))[2] == b'{"status":"ok"}'

    asyncio.run(scenario())


def test_a_port_in_use_is_said_in_one_line() -> None:
    async def scenario() -> None:
        async with serving(World().app) as server:
            second = Server(World().app)
            with pytest.raises(CannotListen, match=f"port {server.port} on 127.0.0.1 is in use"):
                await second.start("127.0.0.1", server.port)

    asyncio.run(scenario())


def test_a_name_that_is_none_cannot_be_listened_on() -> None:
    with pytest.raises(CannotListen):
        asyncio.run(Server(World().app).start("no-such-host.invalid", 0))


def test_the_url_says_where_it_listens() -> None:
    async def scenario(here: Clients) -> None:
        assert here.server.url == f"http://127.0.0.1:{here.server.port}"

    on_a_server(scenario)


def test_a_stop_lets_answers_finish_and_nobody_new_in() -> None:
    async def scenario() -> None:
        go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        async with clients_of(app) as here:
            busy, idle = await here.connect(), await here.connect()
            busy[1].write(head("GET / HTTP/1.1"))
            await busy[1].drain()
            while not here.server.busy:
                await asyncio.sleep(0.01)
            closing = asyncio.create_task(here.server.close(10))
            assert await closed(idle[0]) == b""
            with pytest.raises(ConnectionError):
                await here.connect()
            go.set()
            status, headers, body = await one_answer(busy[0])
            assert (status, headers["connection"], body) == (200, "close", b"ok")
            await closing
            await here.server.close(1)

    asyncio.run(scenario())


def test_a_stop_cuts_what_does_not_finish_in_time() -> None:
    async def scenario() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        async with clients_of(app) as here:
            reader, writer = await here.connect()
            writer.write(head("GET / HTTP/1.1"))
            await writer.drain()
            while not here.server.busy:
                await asyncio.sleep(0.01)
            await here.server.close(0.05)
            assert await closed(reader) == b""
            assert not here.server.busy

    asyncio.run(scenario())
