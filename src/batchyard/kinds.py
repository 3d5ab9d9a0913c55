"""How values are written: numbers, durations, addresses, URLs. Knows no setting and no source.

A kind turns text into a value, or says what it wanted.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HOOK_EVENTS = ("batch.ended", "batch.canceled", "batch.expiring", "lane.held")
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written. ``parse`` raises ``ValueError``; ``wants`` says what is allowed."""

    wants: str
    parse: Callable[[str], object]
    metavar: str
    toml: type = str
    show: Callable[[str], str] = repr


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    from ipaddress import ip_address  # noqa: PLC0415 - not needed to print help

    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def whole(low: int, high: int) -> Kind:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {low} to {high}", parse, "N", toml=int)


def duration(low: str, high: str) -> Kind:
    def read(text: str) -> timedelta:
        found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", text)
        if not found:
            raise ValueError
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])

    def parse(text: str) -> timedelta:
        if not read(low) <= read(text) <= read(high):
            raise ValueError
        return read(text)

    return Kind(f"a duration from {low} to {high}, such as 500ms, 30s, 5m, 24h or 29d", parse, "TIME")


def one_of(*words: str) -> Kind:
    return Kind(" or ".join(words), {word: word for word in words}.__getitem__, "|".join(words))


def _many(each: Callable[[str], str], wants: str) -> Kind:
    def parse(text: str) -> tuple[str, ...]:
        return tuple(each(part.strip()) for part in text.split(",") if part.strip())

    return Kind(wants, parse, "A,B", toml=list)


def _matching(pattern: str, make: Callable[[str], object] = str) -> Callable[[str], object]:
    def parse(text: str) -> object:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return make(text)

    return parse


def _above_zero(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= 1_000_000:
        raise ValueError
    return float(text)


def _host(text: str) -> str:
    from ipaddress import ip_address  # noqa: PLC0415 - as above

    return text if _HOST.match(text) else str(ip_address(text.removeprefix("[").removesuffix("]")))


def _timezone(text: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - as above

    try:
        return ZoneInfo(text).key
    except (OSError, KeyError) as unknown:
        raise ValueError from unknown


def _window(text: str) -> str:
    if not re.fullmatch(rf"(?:{_DAY}(?:-{_DAY})?)?(?:(?:^| )\d\d:\d\d-\d\d:\d\d)?", text.lower()) or not text:
        raise ValueError
    return text


def _network(text: str) -> str:
    from ipaddress import ip_network  # noqa: PLC0415 - as above

    return str(ip_network(text, strict=False))


def _http_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or url.port == 0 or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError
    if url.username is not None or url.password is not None or "?" in text or "#" in text:
        raise ValueError
    return text.rstrip("/")


def _upstream_url(text: str) -> str:
    """A query there may hold a secret, and would be shown: only what names the version of an API is taken."""
    start, mark, query = text.partition("?")
    if mark and not re.fullmatch(r"api-version=[A-Za-z0-9._-]{1,64}", query):
        raise ValueError
    return _http_url(start) + mark + query


def _hook_url(text: str) -> str:
    """Receivers are often told apart by what follows the question mark."""
    start, mark, query = text.partition("?")
    if "#" in text or re.search(r"[\x00-\x20\x7f]", query):
        raise ValueError
    plain = _http_url(start)
    return start + mark + query if mark else plain


def _hook_event(text: str) -> str:
    return {event: event for event in _HOOK_EVENTS}[text]


def _name(text: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f]{1,256}", text):
        raise ValueError
    return text


def _without_secrets(url: str) -> str:
    """Return a URL for people: who logs in, and what follows a question mark, may be secret."""
    start, slashes, rest = url.rpartition("://")
    return repr(start + slashes + re.split("[?#]", "…@" + rest.rpartition("@")[2] if "@" in rest else rest)[0])


HTTP_URL = Kind("http(s)://host[:port][/path], no user or query", _http_url, "URL", show=_without_secrets)
UPSTREAM_URL = Kind(
    "http(s)://host[:port][/path], no user, no query but api-version", _upstream_url, "URL", show=_without_secrets
)
DATABASE = Kind("postgresql://host/name", _matching(r"postgres(ql)?://[^\s/]\S*"), "URL", show=_without_secrets)
OBJECTS = Kind("a URL such as s3://bucket/prefix", _matching(r"[a-z0-9]+://[^\s@?#]+"), "URL", show=_without_secrets)
VARIABLE = Kind("a variable's name, not a key", _matching("[A-Za-z_][A-Za-z0-9_]*"), "NAME", show=lambda _: "(hidden)")
HOST = Kind("an address or a host name, without scheme and port", _host, "HOST")
TEXT = Kind("text without line breaks", _matching(r"[^\x00-\x1f]{1,256}"), "NAME")
FOLDER = Kind("a folder", _matching(r"[^\0]+", lambda text: Path(text).expanduser()), "DIR")
FILE = Kind("a file", FOLDER.parse, "FILE")
SWITCH = Kind("true or false", {"true": True, "false": False}.__getitem__, "", toml=bool)
RATE = Kind("a number, 0 or more", _matching(r"[0-9]{1,9}(\.[0-9]{1,6})?", float), "N", toml=float)
WEIGHT = Kind("a number above 0, at most 1000000", _above_zero, "N", toml=float)
SHARE = Kind("a number from 0 to 1", _matching(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?", float), "N", toml=float)
TIMEZONE = Kind("a time zone such as Europe/Berlin, or UTC", _timezone, "ZONE")
WINDOWS = _many(_window, "hours such as 22:00-06:00, sat, mon-fri 19:00-07:00, set apart by commas")
HOSTS = _many(lambda host: "*" if host == "*" else _host(host), "host names without ports, or *, set apart by commas")
NETWORKS = _many(_network, "addresses or networks such as 10.0.0.0/8, set apart by commas")
HOOK_URL = Kind("http(s)://host[:port]/path, no user", _hook_url, "URL", show=_without_secrets)
HOOK_EVENTS = _many(_hook_event, f"a list out of {', '.join(_HOOK_EVENTS)}")
NAMES = _many(_name, "a list of names, or *")
