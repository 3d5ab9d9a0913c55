"""The way out of webhooks against a real receiver on a real socket: signed, never followed, never led inside."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from batchyard.domain.hooks import Delivery, Kind, Notice, Reply
from batchyard.upstream import webhooks
from batchyard.upstream.webhooks import Target, WebhookPost

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
NOTICE = Notice("msgbatch_1.ended", Kind.ENDED, "w", b'{"type":"batch.ended","text":"\xc3\xa9"}')
DELIVERY = Delivery("ops", NOTICE, 1)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """Notes what comes."""

    def __init__(self, answer: Handler) -> None:
        self._answer = answer
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((request.path_qs, headers, await request.read()))
        return await self._answer(request)


async def fine(_: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


@asynccontextmanager
async def receiver(answer: Handler = fine) -> AsyncIterator[Receiver]:
    made = Receiver(answer)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?token=t"
    try:
        yield made
    finally:
        await runner.cleanup()


async def post(url: str, *, private: bool = True) -> Reply:
    sender = WebhookPost({"ops": Target(url, SECRET, private=private)})
    try:
        return await sender.post(DELIVERY, datetime.now(UTC))
    finally:
        await sender.close()
        await sender.close()


def test_a_receiver_with_the_secret_can_check_who_sent_it() -> None:
    async def main() -> None:
        async with receiver() as there:
            reply = await post(there.url)

            assert (reply.status, reply.is_good) == (204, True)
            [(path, headers, body)] = there.got
            assert path == "/hook?token=t"
            assert body == NOTICE.body
            assert headers["webhook-id"] == NOTICE.id
            assert Webhook(SECRET).verify(body, headers) == json.loads(body)
            with pytest.raises(WebhookVerificationError):
                Webhook(OTHER).verify(body, headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(SECRET).verify(body.replace(b"ended", b"other"), headers)

    asyncio.run(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    async def main() -> None:
        async with receiver() as other:

            async def redirect(_: web.Request) -> web.StreamResponse:
                return web.Response(status=status, headers={"location": other.url})

            async with receiver(redirect) as there:
                reply = await post(there.url)

                assert (reply.status, reply.is_good) == (status, False)
                assert other.got == []

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433"])
def test_an_address_inside_is_not_spoken_to_unless_the_operator_says_so(host: str) -> None:
    async def main() -> None:
        async with receiver() as there:
            port = there.url.rpartition(":")[2].partition("/")[0]

            reply = await post(f"http://{host}:{port}/hook", private=False)

            assert reply.status is None
            assert any(word in reply.reason for word in ("inside", "resolved", "cannot be used"))
            assert there.got == []

    asyncio.run(main())


def test_a_name_that_leads_inside_the_moment_it_is_used_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once for each post, and what is connected to is what was judged."""

    async def main() -> None:
        async with receiver() as there:
            port = int(there.url.rpartition(":")[2].partition("/")[0])
            looks: list[str] = []

            async def lookup(host: str, *_: Any, **__: Any) -> list[Any]:
                looks.append(host)
                address = "127.0.0.1" if len(looks) > 1 else "192.0.2.1"
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
            monkeypatch.setattr(webhooks, "is_public", lambda address: address == "192.0.2.1")
            monkeypatch.setattr(webhooks, "TIMEOUT", aiohttp.ClientTimeout(total=0.5))

            await post(f"http://rebinds.example:{port}/hook", private=False)
            await post(f"http://rebinds.example:{port}/hook", private=False)

            assert looks == ["rebinds.example"] * 2
            assert there.got == []

    asyncio.run(main())


def test_a_receivers_wait_is_read_in_seconds_and_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(hours=1)

    async def main(text: str) -> timedelta | None:
        async def busy(_: web.Request) -> web.StreamResponse:
            return web.Response(status=429, headers={"retry-after": text})

        async with receiver(busy) as there:
            return (await post(there.url)).retry_after

    waits = [
        asyncio.run(main(text)) for text in ("120", f"{later:%a, %d %b %Y %H:%M:%S} GMT", "-5", "soon", "9" * 30, "١")
    ]

    assert waits[0] == timedelta(seconds=120)
    assert waits[1] is not None
    assert timedelta(minutes=59) < waits[1] <= timedelta(hours=1)
    assert waits[2:] == [None] * 4


def test_one_that_does_not_answer_is_left_in_time_and_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def main() -> Reply:
        async def hang(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(3)
            return web.Response()

        async with receiver(hang) as there:
            return await post(there.url)

    assert asyncio.run(main()) == Reply(None, "no answer in time")


def test_an_endless_answer_is_not_read() -> None:
    sent = 0

    async def main() -> Reply:
        async def endless(request: web.Request) -> web.StreamResponse:
            nonlocal sent
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 65_536)
                sent += 65_536

        async with receiver(endless) as there:
            return await post(there.url)

    assert asyncio.run(main()).is_good
    assert sent < 64 * 2**20


def test_nobody_there_and_no_such_name_are_said_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        refused = asyncio.run(post(f"http://127.0.0.1:{port}/"))
    unknown = asyncio.run(post("http://no-such-host.invalid/"))

    assert refused.status is unknown.status is None
    assert refused.reason == "Connection refused"
    assert "resolved" in unknown.reason
    assert SECRET not in refused.reason + unknown.reason
