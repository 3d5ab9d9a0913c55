"""Sealing: what ends a batch. The files are written and synced, then one transaction names them and fixes everything.

    ripe ──> results, index, ledger: written, synced ──> sealing transaction ──> ended

A death before the transaction leaves files that no batch names; the sweep takes them. A seal that comes second finds
nothing to do.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from batchyard.domain.batch import Batch, Counts, Sealed
from batchyard.domain.ledger import ledger_line
from batchyard.domain.result import Result, kind
from batchyard.ports import Blobs, BlobWriter, Clock, Final, Upkeep

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Files:
    """The three files of a batch while they grow."""

    results: BlobWriter
    index: BlobWriter
    ledger: BlobWriter
    size: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


async def seal(
    upkeep: Upkeep, blobs: Blobs, clock: Clock, batch: Batch, result_line: Callable[[str, Result], bytes]
) -> Batch | None:
    """Seal a ripe batch. Return it ended; None if it is gone or was sealed by somebody else meanwhile."""
    files = _Files(blobs.writer("results"), blobs.writer("index"), blobs.writer("ledger"))
    writers = (files.results, files.index, files.ledger)
    try:
        sha256 = await _write(files, upkeep.finals(batch.id), result_line)
        for writer in writers:
            await writer.finish()
    except BaseException:
        for writer in writers:
            await writer.abort()
        raise
    sealed = Sealed(files.results.name, files.index.name, files.ledger.name, files.size, sha256)
    # If this ends without an answer the transaction may have named the files: then only the sweep may judge them.
    ended = await upkeep.seal(batch.id, sealed, Counts(**files.kinds), clock.now())
    if ended is None:
        for writer in writers:
            await blobs.delete(writer.name)
    return ended


async def _write(
    files: _Files, finals: AsyncIterator[Sequence[Final]], result_line: Callable[[str, Result], bytes]
) -> str:
    digest = hashlib.sha256()
    async for part in finals:
        lines = [result_line(final.custom_id, final.result) for final in part]
        for final in part:
            files.kinds[kind(final.result)] += 1
        index = []
        for final, line in zip(part, lines, strict=True):
            params = (final.params.offset, final.params.length, final.params.crc)
            index.append(_encode((final.custom_id, files.size, len(line), final.arrival, *params)))
            files.size += len(line)
        text = b"".join(lines)
        digest.update(text)
        await files.results.write(text)
        await files.index.write(b"\n".join(index) + b"\n")
        await files.ledger.write(b"".join(_ledger_line(final) for final in part))
    return digest.hexdigest()


def _ledger_line(final: Final) -> bytes:
    numbers = {"attempts": final.attempts, "paid": final.paid, "deaths": final.deaths}
    return ledger_line(final.seq, final.custom_id, kind(final.result), final.traces, **numbers)
