"""Which custom_ids stood in an input already, at 16 bytes each: a million take 16 MB, as text in a dict they take 140.

A custom_id is kept as a 64-bit hash with its number. Equal hashes are candidates; the caller looks at both requests to
tell a repeated custom_id from an accident.
"""

from array import array
from collections.abc import Iterator

_BUCKETS = 256


class Seen:
    """The hashes of custom_ids, with the numbers of their requests."""

    def __init__(self) -> None:
        self._hashes = [array("Q") for _ in range(_BUCKETS)]
        self._numbers = [array("Q") for _ in range(_BUCKETS)]
        self.count = 0

    def add(self, custom_id: str, number: int) -> None:
        hashed = hash(custom_id) & 0xFFFF_FFFF_FFFF_FFFF
        self._hashes[hashed % _BUCKETS].append(hashed)
        self._numbers[hashed % _BUCKETS].append(number)
        self.count += 1

    def repeats(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each request whose hash came before, and of the first that has it."""
        for hashes, numbers in zip(self._hashes, self._numbers, strict=True):
            first_hash, first = None, 0
            for hashed, number in sorted(zip(hashes, numbers, strict=True)):
                if hashed == first_hash:
                    yield number, first
                else:
                    first_hash, first = hashed, number
