"""When a call that failed is made again, and after how long: the rules of the official SDKs, with a limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 300.0
"""Seconds. A server that asks for more is believed, but not waited for."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Go on for ``tries`` further tries at least, and until ``seconds`` were spent waiting."""

    tries: int = 2
    seconds: float = 0.0

    def is_over(self, retry: int, waited: float) -> bool:
        """Whether to give up after ``retry`` repeats that took so long to wait for."""
        return retry >= self.tries and waited >= self.seconds


def may_be_repeated(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the same call may succeed later. The server's own word beats the table."""
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in (408, 409, 429) or status >= 500


def pause(retry: int, headers: Mapping[str, str], jitter: float, now: datetime) -> float | None:
    """Return the seconds before repeat number ``retry`` (from 0), or None where the server wants too many.

    Without a word of the server: half a second, doubled each time, at most 8, less up to a quarter (``jitter``, 0..1).
    """
    told = _told(headers, now)
    if told is None:
        return float(min(0.5 * 2 ** min(retry, 8), 8.0)) * (1 - jitter / 4)
    return None if told > LONGEST_WAIT else max(told, 0.0)


def _told(headers: Mapping[str, str], now: datetime) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if seconds == seconds:  # noqa: PLR0124 - "nan" is a float that waits for ever
            return seconds
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
