"""What a server says of its rate limits beside an answer: how much is left, and when it is whole again. Pure.

Anthropic's ``anthropic-ratelimit-*`` (moments) and OpenAI's ``x-ratelimit-*`` (``6m0s``, ``12ms``, or seconds), as
plain numbers. Sources: both vendors' pages on rate limits, and what their SDKs and other clients read.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

LONGEST_RESET = 7 * 86400.0
"""A reset further away is a mistake, or a clock's."""
_MOST_LEFT = 10**15
_MARK = b"ratelimit"
_FAMILIES = (
    ("anthropic-ratelimit-{}-remaining", "anthropic-ratelimit-{}-reset"),
    ("x-ratelimit-remaining-{}", "x-ratelimit-reset-{}"),
)
_REQUESTS = ("requests",)
_TOKENS = ("tokens", "input-tokens", "output-tokens")
_DURATION = re.compile(
    r"(?=.)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?"
)
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What is left of the account's limits, None where nothing was said; resets are seconds from the answer on.

    A bucket fills gradually: its reset is when it is full, so a wait of that long is an upper bound.
    Of several limits on tokens (in, out, both), the scarcest counts.
    """

    requests_left: int | None = None
    requests_reset: float | None = None
    tokens_left: int | None = None
    tokens_reset: float | None = None

    @property
    def wait(self) -> float | None:
        """Seconds until what is used up is whole again; None where nothing is known to be used up."""
        resets = [
            reset
            for left, reset in ((self.requests_left, self.requests_reset), (self.tokens_left, self.tokens_reset))
            if left == 0 and reset is not None and reset > 0.0
        ]
        return max(resets, default=None)


def is_told(raw_headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether any header speaks of rate limits: asked for every answer, so it is cheap."""
    for name, _ in raw_headers:  # noqa: SIM110 - any() with a generator costs twice as much
        if _MARK in name.lower():
            return True
    return False


def read_allowance(headers: Mapping[str, str], now: datetime) -> Allowance | None:
    """Return what the headers (names in lower case) say, or None. Moments are measured from the answer's ``date``."""
    begin = answered_at(headers, now)
    requests = _scarcest(headers, _REQUESTS, begin)
    tokens = _scarcest(headers, _TOKENS, begin)
    return Allowance(*requests, *tokens) if (*requests, *tokens) != (None, None, None, None) else None


def answered_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """Return the server's own time of the answer: a clock that is wrong on either side then does no harm."""
    return http_date(headers.get("date", "")) or now


def http_date(text: str) -> datetime | None:
    """Return an HTTP date, None where it is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _scarcest(headers: Mapping[str, str], names: tuple[str, ...], begin: datetime) -> tuple[int | None, float | None]:
    """Return (left, reset) of the limit with the least left; of those that say nothing of it, the last to reset."""
    found = [
        (_count(headers.get(left.format(name), "")), _reset(headers.get(reset.format(name), ""), begin))
        for left, reset in _FAMILIES
        for name in names
    ]
    told = [(left, reset) for left, reset in found if left is not None or reset is not None]
    if not told:
        return None, None
    return min(told, key=lambda one: (_MOST_LEFT if one[0] is None else one[0], -(one[1] or 0.0)))


def _count(text: str) -> int | None:
    return min(int(text), _MOST_LEFT) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _reset(text: str, begin: datetime) -> float | None:
    seconds = _duration(text.strip())
    if seconds is None:
        moment = _moment(text.strip())
        seconds = None if moment is None else (moment - begin).total_seconds()
    return seconds if seconds is not None and 0.0 <= seconds <= LONGEST_RESET else None


def _duration(text: str) -> float | None:
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True) if part)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return http_date(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
