"""What is told of an API call once it is over: for the log and the metrics."""

import re

from batchyard.domain.call_events import CallAnswered
from batchyard.web.calls import ApiCall

GONE = 499
"""The status of a call whose client went before there was an answer, as nginx has it."""
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_BATCH = re.compile("msgbatch_[0-9A-Za-z]{24}")


def told(call: ApiCall, seconds: float) -> CallAnswered:
    """Return what became of it. A method that nobody knows is named as none: clients make up as many as they like."""
    return CallAnswered(
        call.request_id,
        call.method if call.method in METHODS else "(other)",
        call.route,
        call.status or GONE,
        seconds,
        call.workspace,
        _batch(call),
    )


def _batch(call: ApiCall) -> str:
    """Return the batch that the path names, if it is of the form of an id."""
    if "{batch_id}" not in call.route:
        return ""
    found = _BATCH.search(call.scope["path"])
    return found[0] if found else ""
