"""The gauge of a model server over a socket: what it asks, and that nothing a server answers can hurt."""

import asyncio

import pytest

from batchyard.domain.engine_line import EngineLoad
from batchyard.upstream.engine import MetricsGauge
from batchyard.upstream.exchange import CallLimits

SHORT = CallLimits(total_seconds=0.3, max_answer_bytes=100_000)
LOAD = b"llamacpp:requests_processing 4\nllamacpp:requests_deferred 3\n"


def answer(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def look(told: bytes, *, path: str = "/v1", looks: int = 1) -> tuple[list[EngineLoad | None], list[bytes]]:
    """Return what the gauge made of the answer, and what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                asked.append(request)
                writer.write(told)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> list[EngineLoad | None]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        gauge = MetricsGauge(f"http://127.0.0.1:{port}{path}", "sk-test-0123456789", limits=SHORT)
        try:
            return [await gauge.load() for _ in range(looks)]
        finally:
            await gauge.close()
            await gauge.close()
            server.close()

    return asyncio.run(main()), asked


@pytest.mark.parametrize(
    ("path", "at"), [("/v1", "/metrics"), ("", "/metrics"), ("/proxy/v1/messages", "/proxy/metrics")]
)
def test_it_asks_for_the_metrics_beside_the_api(path: str, at: str) -> None:
    loads, asked = look(answer(LOAD), path=path, looks=2)

    assert loads == [EngineLoad(3, 4)] * 2
    assert [request.split(b" ")[:2] for request in asked] == [[b"GET", at.encode()]] * 2
    assert all(b"sk-test-0123456789" in request for request in asked)


@pytest.mark.parametrize(
    "told",
    [
        answer(LOAD, "404 Not Found"),
        answer(LOAD, "302 Found"),
        answer(b"<html>not here</html>"),
        answer(LOAD + b"x" * 200_000),
        answer(LOAD)[:-5],
        b"HTTP/1.1 200 OK\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=["404", "redirect", "html", "huge", "cut", "no head", "no http", "silence"],
)
def test_whatever_else_a_server_answers_tells_nothing(told: bytes) -> None:
    assert look(told)[0] == [None]


def test_a_server_that_is_not_there_tells_nothing() -> None:
    async def main() -> EngineLoad | None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        gauge = MetricsGauge(f"http://127.0.0.1:{port}", limits=SHORT)
        try:
            return await gauge.load()
        finally:
            await gauge.close()

    assert asyncio.run(main()) is None
