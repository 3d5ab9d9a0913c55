"""Keeps a model server's words out of the operator's sight where they repeat the request. Pure.

Why a lane is held is told in the server's own words, and goes to the log. Some servers repeat what they were sent.
"""

import msgspec

from batchyard.domain.outcome import Held, NotStarted, Outcome

LONGEST_SHOWN = 256
"""No more of a message goes to the log."""
WINDOW, STEP = 16, 8
"""So any 24 characters in a row are found; JSON's escapes hide shorter ones at most."""
LARGEST_SEARCHED = 1024 * 1024
LEFT_OUT = "what the server said repeats the request, and is left out"


def without_echo(outcome: Outcome, params: bytes) -> Outcome:
    """Return the outcome; words of a held lane that repeat the params, or params too large to look, are left out."""
    if not isinstance(outcome, Held | NotStarted) or not _repeats(outcome.error.message, params):
        return outcome
    return msgspec.structs.replace(outcome, error=msgspec.structs.replace(outcome.error, message=LEFT_OUT))


def _repeats(message: str, params: bytes) -> bool:
    if len(params) > LARGEST_SEARCHED:
        return True
    shown = message[:LONGEST_SHOWN].encode(errors="replace")
    return any(shown[at : at + WINDOW] in params for at in range(0, len(shown) - WINDOW + 1, STEP))
