"""A request of a batch: first a draft, then pending, leased attempt by attempt, final once.

pending ── lease ──> leased ── finish ──> final
   ^                   │
   └─ retry, reclaim ──┘
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat

import msgspec

MAX_MODELS = 256
"""Distinct model names kept for each batch. Requests beyond them share the name "": their params say it."""
LONGEST_MODEL = 256
"""Characters of a model's name."""


def kept_name(model: object) -> str:
    """Return a model's name, or "" for what can be none: it is no text, too long, or not to be stored."""
    return model if isinstance(model, str) and len(model) <= LONGEST_MODEL and "\0" not in model else ""


class Drafts:
    """The requests of a batch that is not stored yet, packed: about 150 bytes each, their params apart.

    ``offsets`` and ``lengths`` are bytes in the body blob; ``crcs`` are CRC-32 of the params; ``prefixes`` group
    requests that begin alike (0: no group); ``models`` are indexes into ``model_names``; ``lead`` is how many requests
    run between the first of a group and the rest of it, if there are so many.
    """

    def __init__(self) -> None:
        self.custom_ids: list[str] = []
        self.offsets = array("q")
        self.lengths = array("q")
        self.crcs = array("q")
        self.prefixes = array("q")
        self.models = array("q")
        self.model_names: dict[str, int] = {"": 0}
        self.lead = 1

    def add(self, custom_id: str, offset: int, length: int, crc: int, *, prefix: int = 0, model: str = "") -> None:
        """Append one; that the custom_id is new is the caller's to check."""
        self.custom_ids.append(custom_id)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.crcs.append(crc)
        self.prefixes.append(prefix)
        self.models.append(self._index(model))

    def extend(
        self,
        custom_ids: Sequence[str],
        lengths: Sequence[int],
        crcs: Iterable[int],
        models: Sequence[str],
        *,
        first: int,
        prefixes: Sequence[int] | None = None,
    ) -> None:
        """Append many, whose params lie one behind another from byte ``first`` on."""
        indexes = {model: self._index(model) for model in dict.fromkeys(models)}
        self.custom_ids.extend(custom_ids)
        self.offsets.extend(accumulate(lengths[:-1], initial=first))
        self.lengths.extend(lengths)
        self.crcs.extend(crcs)
        self.prefixes.extend(prefixes or repeat(0, len(custom_ids)))
        self.models.extend(map(indexes.__getitem__, models))

    def _index(self, model: str) -> int:
        known = self.model_names.get(model)
        if known is None:
            known = 0
            if len(self.model_names) < MAX_MODELS:
                known = self.model_names[model] = len(self.model_names)
        return known

    def __len__(self) -> int:
        return len(self.custom_ids)

    @property
    def bytes(self) -> int:
        """How many bytes all params have."""
        return sum(self.lengths)

    def lengths_by_model(self) -> dict[str, list[int]]:
        """Return how many bytes the params have, request by request."""
        found: list[list[int]] = [[] for _ in self.model_names]
        for model, length in zip(self.models, self.lengths, strict=True):
            found[model].append(length)
        return dict(zip(self.model_names, found, strict=True))

    def rows(self) -> Iterator[tuple[str, int, int, int, int, int]]:
        """Yield (custom_id, offset, length, crc, prefix, model index) in the order of the requests."""
        return zip(self.custom_ids, self.offsets, self.lengths, self.crcs, self.prefixes, self.models, strict=True)


class ParamsAt(msgspec.Struct, frozen=True, gc=False):
    """Where the params of a request lie: blob, first byte, bytes, CRC-32."""

    blob: str
    offset: int
    length: int
    crc: int


class Lease(msgspec.Struct, frozen=True, gc=False):
    """The durable right of one owner to make attempt ``attempt`` of a request, and the record that it may have.

    ``attempt`` only grows and fences: a settlement that names an older one changes nothing. ``paid`` counts earlier
    attempts that may have been billed and bounds money. ``failures`` counts paid failures that a living owner saw;
    ``unknowns`` those among them whose end nobody knows; ``deaths`` how often an owner died with it in flight.
    """

    batch: str
    seq: int
    attempt: int
    params: ParamsAt
    model: str = ""
    paid: int = 0
    failures: int = 0
    unknowns: int = 0
    deaths: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """The request, whatever the attempt."""
        return (self.batch, self.seq)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a create looked like, so that a repeated one is known.

    ``caller`` is a hash of the key, ``body_sha256`` of the body; ``idempotency_key`` is the caller's own, if any;
    ``retry`` is the SDK's count of earlier tries of this very call; ``began_at`` (microseconds) when it came in.
    """

    caller: str
    body_sha256: str
    began_at: int
    retry: int = 0
    idempotency_key: str | None = None
