"""Keeps a model server's words out of the operator's sight where they repeat the request. Pure.

Why a lane is held is told in the server's own words, and goes to the log. Some servers repeat what they were sent.
"""

import msgspec

from batchyard.domain.outcome import Held, NotStarted, Outcome
from batchyard.domain.result import RequestError

LONGEST_SHOWN = 256
"""No more of a message goes to the log."""
WINDOW, STEP = 16, 8
"""So any 24 characters in a row are found; JSON's escapes hide shorter ones at most."""
LARGEST_SEARCHED = 1024 * 1024
_TOLD = (Held, NotStarted)
LEFT_OUT = "what the server said repeats the request, and is left out"
LEFT_OUT_UNSEEN = "what the server said of a batch is left out, for it may repeat requests"


def without_echo(outcome: Outcome, params: bytes) -> Outcome:
    """Return the outcome; words of a held lane that repeat the params, or params too large to look, are left out."""
    if not isinstance(outcome, _TOLD) or not _repeats(outcome.error.message, params):
        return outcome
    return _saying(outcome, LEFT_OUT)


def without_words(outcome: Outcome) -> Outcome:
    """Return the outcome; words of a held lane are left out, all but their type: nobody knows what they may repeat."""
    if not isinstance(outcome, Held | NotStarted):
        return outcome
    return _saying(outcome, f"{outcome.error.type}: {LEFT_OUT_UNSEEN}")


def _saying(outcome: Held | NotStarted, message: str) -> Outcome:
    """Details may repeat a request as well as words do."""
    return msgspec.structs.replace(outcome, error=RequestError(outcome.error.type, message, outcome.error.request_id))


def _repeats(message: str, params: bytes) -> bool:
    if len(params) > LARGEST_SEARCHED:
        return True
    shown = message[:LONGEST_SHOWN].encode(errors="replace")
    return any(shown[at : at + WINDOW] in params for at in range(0, len(shown) - WINDOW + 1, STEP))
