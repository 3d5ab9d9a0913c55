"""The attempt ledger of a batch, beside the wire: the sealed file of one that has ended, else as it stands.

``GET /batchyard/v1/batches/{id}/attempts``. No prompt and no answer is in it.
"""

from dataclasses import dataclass

from batchyard import wire
from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound
from batchyard.domain.events import DamageFound, Emit
from batchyard.domain.ledger import OPEN, ledger_line
from batchyard.domain.result import kind
from batchyard.ports import Batches, Blobs, Damaged, Final, Upkeep
from batchyard.web.batches import known_form
from batchyard.web.calls import ApiCall, Sendable
from batchyard.web.downloads import Download
from batchyard.web.protocol import Cut
from batchyard.web.results import DamagedResults
from batchyard.web.settings import WebSettings


class Ledgers:
    """Implements the path."""

    def __init__(self, batches: Batches, upkeep: Upkeep, blobs: Blobs, emit: Emit, settings: WebSettings) -> None:
        self._batches, self._upkeep, self._blobs = batches, upkeep, blobs
        self._emit, self._settings = emit, settings

    async def attempts(self, call: ApiCall, batch_id: str) -> Sendable:
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        if batch.sealed is None:
            if batch.ended_at is not None:
                raise NotFound(f"Message Batch {batch.id} has no attempt ledger any more.")
            return _Running(self._upkeep, batch)
        try:
            reader = await self._blobs.open(batch.sealed.ledger)
        except Damaged as damage:
            await self._batches.get(batch.workspace, batch.id)  # deleted meanwhile: then it is not found, not damaged
            self._emit(DamageFound(batch.sealed.ledger, str(damage)))
            raise DamagedResults(batch.id) from damage
        return Download(
            self._batches, self._emit, self._settings, batch, batch.sealed.ledger, reader.size, reader, b"", None, ()
        )


@dataclass(frozen=True, slots=True)
class _Running:
    """The requests as they stand, slice by slice. It is cut where the batch ends meanwhile: ask again then."""

    upkeep: Upkeep
    batch: Batch

    async def send(self, call: ApiCall) -> None:
        await call.start(200, wire.JSONL, None, ())
        sent = 0
        async for part in self.upkeep.finals(self.batch.id):
            sent += len(part)
            await call.write(b"".join(map(_line, part)), more=True)
        if sent != self.batch.counts.total:
            raise Cut
        await call.write(b"", more=False)


def _line(final: Final) -> bytes:
    result = kind(final.result) if final.arrival else OPEN
    numbers = {"attempts": final.attempts, "paid": final.paid, "deaths": final.deaths}
    return ledger_line(final.seq, final.custom_id, result, final.traces, **numbers)
