"""Identifiers: a prefix and 24 base-62 characters. Batch ids sort by creation, so that each is a position.

A batch id is ``msgbatch_01``, nine characters of microseconds since 1970, thirteen random ones.
"""

import re
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BATCH = re.compile(r"msgbatch_[0-9A-Za-z]{24}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_CHARACTERS = 9  # 62**9 microseconds last until the year 2399


def base62(number: int, width: int) -> str:
    """Return the number's last ``width`` base-62 digits; the alphabet sorts as ASCII does."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def batch_id(created_at: datetime, entropy: int) -> str:
    """Return the id of a batch created then; ``entropy`` is at least 78 random bits."""
    micros = (created_at - _EPOCH) // timedelta(microseconds=1)
    return f"msgbatch_01{base62(micros, _TIME_CHARACTERS)}{base62(entropy, 13)}"


def random_id(prefix: str, entropy: int) -> str:
    """Return ``prefix`` and 24 base-62 characters; ``entropy`` is at least 143 random bits."""
    return prefix + base62(entropy, 24)


def is_batch_id(text: str) -> bool:
    """Whether the text has the form of a batch id, known or not."""
    return _BATCH.match(text) is not None
