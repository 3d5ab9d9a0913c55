"""Numbers, times and sizes as people read them: the filters of the templates."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_UNITS = ("B", "kB", "MB", "GB", "TB")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def number(value: int) -> str:
    """Return a whole number with its thousands set apart."""
    return f"{value:,}"


def short(value: float) -> str:
    """Return a number in at most four characters and a letter: 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def span(time: timedelta | float) -> str:
    """Return a length of time by its two largest units."""
    whole = max(0, int(time.total_seconds() if isinstance(time, timedelta) else time))
    for place, (unit, name) in enumerate(_SPANS):
        if whole >= unit:
            rest = ""
            if place + 1 < len(_SPANS):
                less, letter = _SPANS[place + 1]
                rest = f" {whole % unit // less} {letter}" if whole % unit >= less else ""
            return f"{whole // unit} {name}{rest}"
    return "0 s"


def lasting(time: timedelta) -> str:
    """Return a short length of time with its milliseconds, a long one as ``span`` has it."""
    took = max(0.0, time.total_seconds())
    if took < 1:
        return f"{took * 1000:.0f} ms"
    return f"{took:.1f} s" if took < 60 else span(time)


def seconds(time: float) -> str:
    """Return seconds as ``lasting`` has them."""
    return lasting(timedelta(seconds=time))


def size(count: int) -> str:
    """Return bytes in powers of 1,000."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def dollars(amount: float) -> str:
    """Return US dollars, with more digits the less it is."""
    if amount <= 0:
        return "$0"
    if amount < 0.0001:
        return "<$0.0001"
    return f"${amount:,.4f}" if amount < 0.1 else f"${amount:,.2f}"


def rate(per_second: float) -> str:
    """Return requests by the second, or by the minute or hour where there are few."""
    if per_second >= 1:
        return f"{short(per_second)}/s"
    if per_second * 60 >= 1:
        return f"{short(per_second * 60)}/min"
    return f"{short(per_second * 3600)}/h"


def moment(when: datetime) -> str:
    """Return a time of day in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(when: datetime) -> str:
    """Return a time for ``<time datetime>``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(text: str) -> str:
    """Return text with what cannot be seen made visible, so that it can neither hide nor turn its line around."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


FILTERS: Mapping[str, Callable[..., str]] = {
    each.__name__: each for each in (number, short, span, lasting, seconds, size, dollars, rate, moment, iso, plain)
}
