"""An upstream that speaks the Messages API itself: params go out as they came in, answers are judged, nothing else.

The key goes to this URL only. ``docs/design/upstream.md`` has the table of outcomes.
"""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from batchyard.domain.answer import judge, judge_message
from batchyard.domain.outcome import Answered, Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.ports import Call
from batchyard.upstream.exchange import Answer, CallLimits
from batchyard.upstream.http1 import Address, Http1Client

OLDEST_VERSION = "2023-06-01"
"""What every server of this dialect knows; sent where the batch's own version is not to be forwarded."""
MAX_HEADS = 256
"""Request heads kept ready: one for each pair of version and betas."""
SHORTEST_SECRET = 8
"""A shorter key is a placeholder (``none``, ``EMPTY``), and its letters may well stand in an honest text."""


class MessagesUpstream:
    """Implements ``Upstream``: POST to ``url``/v1/messages; a ``url`` that ends in /v1 or /v1/messages is understood.

    Raises ``ValueError``, with a message for the operator, for a URL or a key that cannot be used.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits | None = None,
        *,
        forward_version: bool = True,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = _checked_url(url)
        key = _checked_key(api_key)
        self._client = Http1Client(_address(parts, tls), limits or CallLimits())
        self._start = _start(parts, key)
        self._secret = key.encode() if len(key) >= SHORTEST_SECRET else b""
        self._forward_version = forward_version
        self._now = now
        self._heads: dict[tuple[str, tuple[str, ...]], bytes] = {}

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it."""
        head = self._heads.get((call.version, call.betas)) or self._head(call)
        if not head:
            return Refused(RequestError("invalid_request_error", "The batch's version or betas fit in no header."))
        params = call.params
        answer = await self._client.post(b"%b%d\r\n\r\n%b" % (head, len(params), params))
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 200:
            outcome = judge_message(answer.body)
            if isinstance(outcome, Answered):
                return outcome
        return judge(answer.status, answer.headers, self._without_key(answer.body), self._now())

    async def close(self) -> None:
        """Cut what is in flight and let go of connections. Closing twice is allowed."""
        await self._client.close()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._client.connections

    def _head(self, call: Call) -> bytes:
        """Return all of the head but the length of the body; nothing where a value cannot be in a header."""
        version = call.version if self._forward_version else OLDEST_VERSION
        if not all(_is_token(value) for value in (version, *call.betas)):
            return b""
        betas = f"anthropic-beta: {','.join(call.betas)}\r\n" if call.betas else ""
        head = f"{self._start}anthropic-version: {version}\r\n{betas}content-length: ".encode()
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[(call.version, call.betas)] = head
        return head

    def _without_key(self, body: bytes) -> bytes:
        """A server that repeats what it was sent must not hand our key on to whoever reads the results."""
        return body.replace(self._secret, b"[key]") if self._secret else body


def _checked_url(url: str) -> SplitResult:
    """Return the parts of a URL that we can post to, or say what is wrong with it; a password in it is not repeated."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the upstream's URL must look like http://host:port or https://host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the upstream's URL must not contain a user or a password: give the key on its own")
    if parts.query or parts.fragment:
        raise ValueError("the upstream's URL must end with its path: no ? and no #")
    if not all(_is_token(part) for part in (parts.netloc, parts.path or "/")):
        raise ValueError("the upstream's URL must be plain ASCII without blanks: encode the rest")
    try:
        port = parts.port
    except ValueError as wrong:
        raise ValueError("the upstream's URL has a port that is no number from 1 to 65535") from wrong
    if port == 0:
        raise ValueError("the upstream's URL has a port that is no number from 1 to 65535")
    return parts


def _checked_key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if key and not _is_token(key):
        raise ValueError("the upstream's key has blanks or characters that no header carries")
    return key


def _is_token(text: str) -> bool:
    """Whether it can stand in a request line or a header as it is: visible ASCII, so no CR, LF or blank."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def _address(parts: SplitResult, tls: ssl.SSLContext | None) -> Address:
    assert parts.hostname is not None
    if parts.scheme == "https":
        return Address(parts.hostname, parts.port or 443, tls or ssl.create_default_context())
    return Address(parts.hostname, parts.port or 80)


def _start(parts: SplitResult, key: str) -> str:
    """Return the request line and the headers that never change."""
    path = parts.path.rstrip("/")
    if path.endswith("/v1"):
        path += "/messages"
    elif not path.endswith("/v1/messages"):
        path += "/v1/messages"
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {parts.netloc}",
        "user-agent: batchyard",
        "accept: application/json",
        "accept-encoding: identity",
        "content-type: application/json",
        *_key_headers(key),
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _key_headers(key: str) -> list[str]:
    """Anthropic's keys go where its service looks for them, once; other servers look in either place."""
    if not key:
        return []
    if key.startswith("sk-ant-oat"):
        return [f"authorization: Bearer {key}"]
    if key.startswith("sk-ant-"):
        return [f"x-api-key: {key}"]
    return [f"x-api-key: {key}", f"authorization: Bearer {key}"]
