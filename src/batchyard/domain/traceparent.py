"""The header ``traceparent`` of W3C Trace Context: which span of the client an API call belongs to."""

import re
from dataclasses import dataclass

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.ASCII)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class SpanOf:
    """A span of somebody else. ``sampled``: its trace is being recorded."""

    trace_id: int
    span_id: int
    sampled: bool


def parse(text: str) -> SpanOf | None:
    """Return the span; None where the text is not of the form, as the standard wants it."""
    found = _FORM.match(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return SpanOf(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))


def kept(text: str | None) -> str:
    """Return what is stored of a header: the header where it is good, else nothing."""
    text = (text or "").strip()
    return text[: len("00--") + 2 + 32 + 16 + 1] if parse(text) else ""
