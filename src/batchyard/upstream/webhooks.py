"""The way out for webhooks: one signed POST to one URL, and to no address inside unless the operator said so.

Names are looked up here, each address is judged, and the connection goes to an address that was judged: a name that
means another address a moment later changes nothing. Redirects are answers like any other.
"""

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from batchyard.domain.hooks import Delivery, Reply

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a hook's notices go. ``private``: it may be an address that is not of the public internet."""

    url: str
    secret: str = field(repr=False)
    private: bool = False


class Inside(OSError):
    """The address is not of the public internet."""


class WebhookPost:
    """Implements ``Post``; belongs to the event loop of its first call."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._targets = targets
        self._signers = {name: Webhook(target.secret) for name, target in targets.items()}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, delivery: Delivery, now: datetime) -> Reply:
        target, notice = self._targets[delivery.hook], delivery.notice
        signature = self._signers[delivery.hook].sign(notice.id, now, notice.body.decode())
        headers = {
            "content-type": "application/json",
            "user-agent": "batchyard",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            if not target.private:
                _check_literal(target.url)
            session = self._session(private=target.private)
            async with session.post(
                target.url, data=notice.body, headers=headers, allow_redirects=False, timeout=TIMEOUT
            ) as answer:  # its body is not read: nobody needs it, and it may be endless
                return Reply(answer.status, answer.reason or "", _retry_after(answer.headers, now))
        except TimeoutError:
            return Reply(None, "no answer in time")
        except (OSError, aiohttp.ClientError) as fault:
            return Reply(None, _words(fault))

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _session(self, *, private: bool) -> aiohttp.ClientSession:
        if private not in self._sessions:
            connector = aiohttp.TCPConnector(
                resolver=Resolver(private=private), use_dns_cache=False, force_close=True, limit=32
            )
            self._sessions[private] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._sessions[private]


class Resolver(AbstractResolver):
    """Looks names up and leaves out what lies inside."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = [(kind, str(address[0])) for kind, _, _, _, address in found]
        allowed = [(kind, text) for kind, text in addresses if self._private or is_public(text)]
        if not allowed:
            raise Inside("the name leads to addresses inside only")
        return [
            ResolveResult(hostname=host, host=text, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, text in allowed
        ]

    async def close(self) -> None:
        """Nothing is held."""


def is_public(text: str) -> bool:
    """Whether an address is of the public internet, and none of those that stand for one inside."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if within is None and address in _NAT64:
            within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if within is not None and not is_public(str(within)):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


def _check_literal(url: str) -> None:
    """No name, no lookup: an address that stands in the URL itself is judged here."""
    try:
        ipaddress.ip_address((urlsplit(url).hostname or "").partition("%")[0])
    except ValueError:
        return
    if not is_public(urlsplit(url).hostname or ""):
        raise Inside("the URL is an address inside")


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return timedelta(seconds=int(text))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(0), (until if until.tzinfo else until.replace(tzinfo=UTC)) - now)


def _words(fault: Exception) -> str:
    """Return why nothing came back, without what the other side wrote."""
    inner: Any = fault
    while isinstance(inner, aiohttp.ClientConnectorError):
        inner = inner.os_error
    if isinstance(inner, Inside):
        return f"not sent: {inner}"
    if isinstance(inner, aiohttp.InvalidURL):
        return "not sent: its URL cannot be used"
    if isinstance(inner, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
        return os.strerror(inner.errno)  # what the loop says beside it names the address
    return type(inner).__name__
