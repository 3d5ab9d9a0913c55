"""``[[simulate: …]]`` in the last user message: how a test asks the simulator for what a model does only sometimes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from batchyard.domain.result import ERROR_TYPES
from batchyard.domain.shapes import quoted

STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
)
REFUSAL_CATEGORIES = ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")
MOST_TOKENS = 300_000
LONGEST_LATENCY = 7 * 86400.0

_MARKER = re.compile(r"\[\[simulate:([^\[\]]{0,2000})\]\]")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)")
_TIMES = re.compile(r"(\w+)\s+(?:(once)|(\d{1,4}) times)")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the markers ask for. ``error_times`` is None where every attempt is to fail."""

    stop_reason: str | None = None
    refusal_category: str | None = None
    error: str | None = None
    error_times: int | None = None
    latency: float | None = None
    tokens: int | None = None
    text: str | None = None


class CannotSimulate(ValueError):
    """The request is well-formed, and the simulator has no answer to it; the message says what to change."""

    def __init__(self, message: str, *, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.kind = kind


def read_markers(asked: str) -> tuple[Wishes, str]:
    """Return what the markers ask for, and the text without them; raises ``CannotSimulate`` for an unknown one."""
    wishes = Wishes()
    if "[[simulate:" not in asked:
        return wishes, asked
    for marker in _MARKER.findall(asked):
        wishes = _read(marker.strip(), wishes)
    return wishes, _MARKER.sub("", asked).strip()


def _read(marker: str, wishes: Wishes) -> Wishes:
    name, equals, value = (part.strip() for part in marker.partition("="))
    if equals and name in _VALUED:
        return _VALUED[name](value, wishes)
    if marker in STOP_REASONS:
        return replace(wishes, stop_reason=marker)
    if marker in ERROR_TYPES:
        return replace(wishes, error=marker)
    times = _TIMES.fullmatch(marker)
    if times is not None and times[1] in ERROR_TYPES:
        return replace(wishes, error=times[1], error_times=1 if times[2] else int(times[3]))
    raise CannotSimulate(
        f"simulator: there is no marker '{quoted(marker)}'. Known are the stop reasons ({', '.join(STOP_REASONS)}), "
        f"the error types ({', '.join(sorted(ERROR_TYPES))}) alone or followed by 'once' or 'N times', "
        "refusal=CATEGORY, latency=2s, tokens=500 and text=WORDS"
    )


def _refusal(value: str, wishes: Wishes) -> Wishes:
    if value not in REFUSAL_CATEGORIES:
        raise CannotSimulate(f"simulator: refusal={quoted(value)} is none of {', '.join(REFUSAL_CATEGORIES)}")
    return replace(wishes, stop_reason="refusal", refusal_category=value)


def _latency(value: str, wishes: Wishes) -> Wishes:
    duration = _DURATION.fullmatch(value)
    if duration is None:
        raise CannotSimulate(f"simulator: latency={quoted(value)} is no duration such as 500ms, 2s, 10m or 1h")
    return replace(wishes, latency=min(float(duration[1]) * _SECONDS[duration[2]], LONGEST_LATENCY))


def _tokens(value: str, wishes: Wishes) -> Wishes:
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and 1 <= int(value) <= MOST_TOKENS):
        raise CannotSimulate(f"simulator: tokens={quoted(value)} is no number from 1 to {MOST_TOKENS}")
    return replace(wishes, tokens=int(value))


def _text(value: str, wishes: Wishes) -> Wishes:
    if not value:
        raise CannotSimulate("simulator: text= needs words")
    return replace(wishes, text=value)


_VALUED: dict[str, Callable[[str, Wishes], Wishes]] = {
    "refusal": _refusal,
    "latency": _latency,
    "tokens": _tokens,
    "text": _text,
}
