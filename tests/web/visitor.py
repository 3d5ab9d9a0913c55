"""Somebody at a browser: keeps the cookie, fills in forms with their token, says where it comes from."""

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode

from starlette.types import ASGIApp

from batchyard.web.keys import OpenKeys
from tests.wire.world import KEY, Reply, World

ORIGIN = "http://127.0.0.1:8787"
KNOWN = {"x-api-key": None, "anthropic-version": None}
_TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@dataclass
class Visitor:
    """Goes to pages of one application. ``sent`` are headers of every call."""

    world: World
    cookies: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str | None] = field(default_factory=dict)
    page: Reply | None = None
    app: ASGIApp | None = None

    def __post_init__(self) -> None:
        self.app = self.app or self.world.app  # one for all calls: it seals sessions with a secret of its own

    async def go(self, path: str, method: str = "GET", body: bytes = b"", **headers: str | None) -> Reply:
        """Make a call and keep what cookies it sets."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        merged: dict[str, str | None] = {**KNOWN, "cookie": cookie or None, **self.sent, **given}
        reply = await self.world.call(method, path, body, headers=merged, app=self.app)
        for name, value in reply.headers:
            if name == "set-cookie":
                cookie_name, _, held = value.partition(";")[0].partition("=")
                self.cookies[cookie_name] = held
                if "Max-Age=0" in value:
                    del self.cookies[cookie_name]
        if reply.header("content-type") == "text/html; charset=utf-8" and reply.status != 303 and method == "GET":
            self.page = reply
        return reply

    async def send(self, path: str, form: dict[str, str] | None = None, **headers: str | None) -> Reply:
        """Send a form as the page seen last would; ``form`` may say otherwise, and so may ``headers``."""
        fields = {"token": self.token, **(form or {})}
        usual = {"origin": ORIGIN, "content_type": "application/x-www-form-urlencoded"}
        return await self.go(path, "POST", urlencode(fields).encode(), **{**usual, **headers})

    @property
    def token(self) -> str:
        found = _TOKEN.search(text(self.page)) if self.page else None
        return found[1] if found else ""

    async def sign_in(self, key: str = KEY) -> Reply:
        await self.go("/sign-in")
        return await self.send("/sign-in", {"key": key})


def open_world() -> World:
    """A world without a key, as it is on a laptop."""
    return World(keys=OpenKeys())


def text(reply: Reply | None) -> str:
    assert reply is not None
    return reply.body.decode()


class _Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, ...]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.links += [value or "" for name, value in attrs if name.startswith("hx-get")]

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))

    def handle_decl(self, decl: str) -> None:
        self.tags.append(("declaration",))

    def handle_pi(self, data: str) -> None:
        self.tags.append(("instruction",))


def structure(page: str) -> list[tuple[str, ...]]:
    """Return every tag of a page with the names of its attributes: what markup there is, whatever the text."""
    parser = _Structure()
    parser.feed(page)
    return parser.tags


def links(page: str) -> list[str]:
    """Return where the page leads and what it loads."""
    parser = _Structure()
    parser.feed(page)
    return [unescape(link) for link in parser.links]
