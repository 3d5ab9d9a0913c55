"""The forms that an input may have, and by what each is recognised: its name, else what it begins with."""

from collections.abc import Callable

from batchyard.client.bodies import is_body
from batchyard.client.lines import members_of
from batchyard.client.tables import TABLES

REQUESTS, BODY, PARAMS, OTHER, FAILURES = "requests", "body", "params", "openai", "failures"
FORMS = (REQUESTS, BODY, PARAMS, OTHER, *TABLES)
"""What ``--format`` may name."""

HEAD = 2**20
"""Bytes of an input that are looked at."""


def recognised(suffix: str, head: Callable[[], bytes | None], *, has_template: bool) -> str:
    """Return the form. ``head`` gives the first bytes, or None where they cannot be read."""
    if suffix in TABLES and suffix != "jsonl":
        return suffix
    if has_template:
        return "jsonl"
    first = head()
    if first is None:
        return PARAMS  # reading it again says where it is damaged
    return BODY if is_body(first) else _of_line(next((line for line in first.split(b"\n") if line.strip()), b""))


def spread_over_lines(head: bytes) -> str:
    """Return what is wrong with an input that begins as JSON does which is no JSON lines, or nothing.

    Each of its lines would be wrong in a way of its own, and none would tell what is wrong.
    """
    start = head.lstrip()
    if start.startswith(b"["):
        return 'a list in JSON: write each request on a line of its own, or the list as {"requests": […]}'
    if start.startswith(b"{") and start[1:].lstrip(b" \t\r").startswith(b"\n"):
        return "an object that is spread over several lines: write each request on one line"
    return ""


def _of_line(line: bytes) -> str:
    try:
        members = set(members_of(line))
    except ValueError:
        return REQUESTS
    if {"custom_id", "body", "url"} <= members:
        return OTHER
    if {"custom_id", "params", "result"} <= members:
        return FAILURES
    return PARAMS if "messages" in members and "custom_id" not in members else REQUESTS
