"""What every request to an upstream begins with: its address, its path, its key, and what a call adds to them.

A key and a URL come from the operator, a version and betas from clients: none of them can end a header.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from batchyard.ports import Call
from batchyard.upstream.http1 import Address

OLDEST_VERSION = "2023-06-01"
"""What every server of this dialect knows; sent where the call's own version is not to be forwarded."""
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
"""How the names of Azure's hosts end."""
_ENTRA = "eyJ"
"""What every token of Entra begins with, and no key of Azure's: the beginning of a JSON object in base64."""
MAX_HEADS = 256
"""Request heads kept ready: one for each pair of version and betas."""


@dataclass(frozen=True, slots=True)
class Forwards:
    """What of a call's own headers goes on to the server."""

    version: bool
    betas: bool


class Heads:
    """The heads of POSTs to one path."""

    def __init__(self, parts: SplitResult, path: str, key: str, forwards: Forwards) -> None:
        self._start = start("POST", parts, path, key)
        self._forwards = forwards
        self._ready: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def request(self, call: Call) -> bytes:
        """Return the whole request; nothing where the version or a beta cannot be in a header."""
        head = self._ready.get((call.version, call.betas)) or self._head(call)
        return b"%b%d\r\n\r\n%b" % (head, len(call.params), call.params) if head else b""

    def _head(self, call: Call) -> bytes:
        """Return all of the head but the length of the body."""
        version = call.version if self._forwards.version else OLDEST_VERSION
        betas = call.betas if self._forwards.betas else ()
        if not all(_is_token(value) for value in (version, *betas)):
            return b""
        told = f"anthropic-beta: {','.join(betas)}\r\n" if betas else ""
        head = f"{self._start}anthropic-version: {version}\r\n{told}content-length: ".encode()
        if len(self._ready) >= MAX_HEADS:
            self._ready.clear()
        self._ready[(call.version, call.betas)] = head
        return head


def plain_get(parts: SplitResult, path: str, key: str, *, bearer: bool = False) -> bytes:
    """Return a whole GET request."""
    return f"{start('GET', parts, path, key, bearer=bearer)}anthropic-version: {OLDEST_VERSION}\r\n\r\n".encode()


def checked_url(url: str, *, versioned: bool = False) -> SplitResult:
    """Return the parts of a URL that we can post to, or say what is wrong with it; a password in it is not repeated.

    ``versioned``: a query is sent with each request, as Azure's older API wants its version.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the upstream's URL must look like http://host:port or https://host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the upstream's URL must not contain a user or a password: give the key on its own")
    if (parts.query and not versioned) or parts.fragment:
        raise ValueError("the upstream's URL must end with its path: no ? and no #")
    if not all(_is_token(part) for part in (parts.netloc, parts.path or "/", parts.query or "-")):
        raise ValueError("the upstream's URL must be plain ASCII without blanks: encode the rest")
    try:
        port = parts.port
    except ValueError as wrong:
        raise ValueError("the upstream's URL has a port that is no number from 1 to 65535") from wrong
    if port == 0:
        raise ValueError("the upstream's URL has a port that is no number from 1 to 65535")
    return parts


def checked_key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if key and not _is_token(key):
        raise ValueError("the upstream's key has blanks or characters that no header carries")
    return key


def _is_token(text: str) -> bool:
    """Whether it can stand in a request line or a header as it is: visible ASCII, so no CR, LF or blank."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def address(parts: SplitResult, tls: ssl.SSLContext | None) -> Address:
    assert parts.hostname is not None
    if parts.scheme == "https":
        return Address(parts.hostname, parts.port or 443, tls or ssl.create_default_context())
    return Address(parts.hostname, parts.port or 80)


def api_path(parts: SplitResult) -> str:
    """Return the path of the API, up to and with ``/v1``."""
    path = parts.path.rstrip("/")
    if path.endswith("/v1/messages"):
        path = path.removesuffix("/messages")
    return path if path.endswith("/v1") else path + "/v1"


def start(method: str, parts: SplitResult, path: str, key: str, *, bearer: bool = False) -> str:
    """Return the request line and the headers that never change."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"host: {parts.netloc}",
        "user-agent: batchyard",
        "accept: application/json",
        "accept-encoding: identity",
        *(["content-type: application/json"] if method == "POST" else []),
        *(_chat_key(parts, key) if bearer else _key_headers(key)),
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _chat_key(parts: SplitResult, key: str) -> list[str]:
    """Servers of chat completions take a bearer's key; Azure's has a header for it, and bearers are Entra's tokens."""
    if not key:
        return []
    if (parts.hostname or "").endswith(_AZURE) and not key.startswith(_ENTRA):
        return [f"api-key: {key}"]
    return [f"authorization: Bearer {key}"]


def _key_headers(key: str) -> list[str]:
    """Anthropic's keys go where its service looks for them, once; other servers look in either place."""
    if not key:
        return []
    if key.startswith("sk-ant-oat"):
        return [f"authorization: Bearer {key}"]
    if key.startswith("sk-ant-"):
        return [f"x-api-key: {key}"]
    return [f"x-api-key: {key}", f"authorization: Bearer {key}"]
