"""One API call and its answer: what handlers are given and what they return.

Every answer carries a ``request-id``, and a refusal repeats it in its envelope. What is an error and which status it
has is decided here, once.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from batchyard import wire
from batchyard.domain.errors import BatchyardError, InvalidRequest, Overloaded, RateLimited, StoreUnavailable
from batchyard.domain.ids import random_id

DEFAULT_LIMIT = 20
LONGEST_PAGE = 1000
GUARDS = (
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
)
"""What a browser is told of every answer whose handler says nothing else: answers hold what people wrote."""
_INTEGER = re.compile(r"[+-]?[0-9]+\Z")
RETRY_SECONDS = 5
"""What a client is told to wait when we cannot take its call now; SDKs obey it, and try twice more."""


class Refusal(BatchyardError):
    """A refusal whose HTTP status is not the one of its type: 405, 416, 421."""

    type = "invalid_request_error"

    def __init__(self, status: int, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)


class ApiCall:
    """What a client sent, as far as it was read. ``workspace`` and the three after it are set as they become known."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.headers = Headers(scope=scope)
        self.request_id = random_id("req_", secrets.randbits(144))
        self.workspace = ""
        self.caller = ""
        self.version = ""
        self.base_url = ""
        self.answered = False
        self.status = 0
        self.route = ""
        """The path as the table of routes has it; "" where nothing is there."""
        self.entered = False
        self.always: list[tuple[str, str]] = []
        """Headers of the answer, whatever it will be."""

    def query(self, name: str) -> str | None:
        """Return the value of a query key, the last where it comes several times, or None."""
        return next(reversed(self.queries(name)), None)

    def queries(self, name: str) -> list[str]:
        """Return all values of a query key, in their order."""
        pairs = parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    async def start(
        self, status: int, media_type: str, length: int | None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send the status line and the headers."""
        self.answered, self.status = True, status
        lines = [
            ("content-type", media_type),
            *([("content-length", str(length))] if length is not None else []),
            ("request-id", self.request_id),
            *self.always,
        ]
        ours = {name for name, _ in lines}
        lines += [line for line in headers if line[0] not in ours]
        said = {name for name, _ in lines}
        lines += [guard for guard in GUARDS if guard[0] not in said]
        raw = [(name.encode("ascii"), text.encode("latin-1")) for name, text in lines]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, chunk: bytes, *, more: bool) -> None:
        """Send a part of the body; waits while the client is slow."""
        message: Message = {"type": "http.response.body", "body": chunk, "more_body": more}
        await self._send(message)


class Sendable(Protocol):
    """What a handler returns."""

    async def send(self, call: ApiCall) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, small enough to be held."""

    body: bytes
    status: int = 200
    media_type: str = wire.JSON
    headers: tuple[tuple[str, str], ...] = ()

    async def send(self, call: ApiCall) -> None:
        await call.start(self.status, self.media_type, len(self.body), self.headers)
        await call.write(b"" if call.method == "HEAD" else self.body, more=False)


@dataclass(frozen=True, slots=True)
class Bare:
    """An answer of headers alone: to HEAD, and 304."""

    status: int
    media_type: str
    length: int | None
    headers: tuple[tuple[str, str], ...] = ()

    async def send(self, call: ApiCall) -> None:
        await call.start(self.status, self.media_type, self.length, self.headers)
        await call.write(b"", more=False)


def refusal(error: BatchyardError, request_id: str) -> Answer:
    """Return the envelope of an error that the caller can act on, with what tells its SDK whether to try again."""
    status = error.status if isinstance(error, Refusal) else wire.STATUS[error.type]
    headers = error.headers if isinstance(error, Refusal) else ()
    if isinstance(error, Overloaded):
        headers = (("retry-after", str(RETRY_SECONDS)),)
    elif isinstance(error, RateLimited):
        waits = error.retry_after is not None
        headers = (("retry-after", str(ceil(error.retry_after or 0))),) if waits else (("x-should-retry", "false"),)
    return Answer(wire.error_json(error.type, error.message, request_id), status, headers=headers)


class DamagedStore(Refusal):
    """Nothing that the caller can mend, nor a retry."""

    type = "api_error"

    def __init__(self) -> None:
        headers = [("x-should-retry", "false")]
        super().__init__(500, "What the server stored of this is damaged. Its log says more.", headers)


def unavailable(_: StoreUnavailable) -> Overloaded:
    """Return what a client is told when the store cannot work: nothing took effect, try again."""
    return Overloaded("The server cannot reach or write its store now. Nothing was changed; try again.")


def server_error(request_id: str) -> Answer:
    """Return what a client is told of a bug: an id that the log knows too, and nothing else."""
    return Answer(wire.error_json("api_error", "Internal server error", request_id), 500)


def page_limit(call: ApiCall) -> int:
    """Return how many entries a page of a list may have."""
    text = call.query("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not _INTEGER.match(text):
        raise InvalidRequest("limit: Input should be a valid integer, unable to parse string as an integer")
    if text.startswith("-") or not text.lstrip("+0"):
        raise InvalidRequest("limit: Input should be greater than or equal to 1")
    digits = text.lstrip("+0")
    if len(digits) > 4 or int(digits) > LONGEST_PAGE:
        raise InvalidRequest(f"limit: Input should be less than or equal to {LONGEST_PAGE}")
    return int(digits)
