"""Only the failures once more: ``POST /batchyard/v1/batches/{id}/rerun`` makes a batch of them.

ledger: which failed ──> index: where their params lie ──> the same way in as any create
"""

import zlib
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec

from batchyard import wire
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import InvalidRequest
from batchyard.domain.labels import MOST_LABELS, Labels
from batchyard.ports import Batches, Blobs, Damaged
from batchyard.web.batches import known_form
from batchyard.web.calls import Answer, ApiCall
from batchyard.web.creates import Creates, Terms
from batchyard.web.label_headers import labels
from batchyard.web.sealed import Entry, SealedFiles

FAILED = ("errored", "expired")
KINDS = ("errored", "expired", "canceled")
OF = "rerun-of"
"""The label that names the batch whose failures these are."""
CHUNK = 256 * 1024
_encode = msgspec.json.Encoder().encode


class _Fate(msgspec.Struct):
    seq: int
    result: str


_decode_fate = msgspec.json.Decoder(_Fate).decode


class Reruns:
    """Implements the path."""

    def __init__(self, batches: Batches, blobs: Blobs, files: SealedFiles, creates: Creates) -> None:
        self._batches, self._blobs, self._files, self._creates = batches, blobs, files, creates

    async def rerun(self, call: ApiCall, batch_id: str) -> Answer:
        """Answer with a new batch of the requests that errored or expired; ``results`` may name other fates.

        It has version, betas, name and labels of the first; headers of this call may say otherwise.
        """
        return Answer(wire.batch_json(await self.make(call, batch_id), call.base_url))

    async def make(self, call: ApiCall, batch_id: str) -> Batch:
        """Return that batch."""
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        if batch.status is not Status.ENDED:
            raise InvalidRequest(f"Message Batch {batch.id} has not ended: its failures can be run again once it has.")
        kinds = _kinds(call)
        count = sum(getattr(batch.counts, kind) for kind in kinds)
        if not count:
            raise InvalidRequest(f"Message Batch {batch.id} has no request that {' or '.join(kinds)}.")
        terms = Terms(batch.version, batch.betas, _labels(call, batch))
        chosen = [entry async for entry in self._chosen(batch, kinds)]
        size = sum(entry.params.length for entry in chosen if entry.params is not None)
        return await self._creates.again(call, terms, self._body(batch, chosen), size)

    async def _chosen(self, batch: Batch, kinds: tuple[str, ...]) -> AsyncIterator[Entry]:
        sealed = await self._files.sealed(batch)
        marks = [b'"result":"%b"' % kind.encode() for kind in kinds]
        wanted: set[int] = set()
        async for lines in self._files.lines(batch, sealed.ledger):
            failed = [line for line in lines if any(mark in line for mark in marks)]
            wanted.update(fate.seq for fate in map(_decode_fate, failed) if fate.result in kinds)
        async for entries in self._files.index(batch):
            for entry in entries:
                if entry.seq in wanted:
                    yield entry

    async def _body(self, batch: Batch, chosen: list[Entry]) -> AsyncIterator[bytes]:
        """Yield the body of a create of these requests, their params as they were sent."""
        held = bytearray(b'{"requests":[')
        for number, entry in enumerate(chosen):
            held += b"," if number else b""
            held += b'{"custom_id":%b,"params":%b}' % (_encode(entry.custom_id), await self._params(batch, entry))
            if len(held) >= CHUNK:
                yield bytes(held)
                held.clear()
        yield bytes(held) + b"]}"

    async def _params(self, batch: Batch, entry: Entry) -> bytes:
        at = entry.params
        if at is None:
            raise InvalidRequest(f"Message Batch {batch.id} ended under an earlier version: its requests are not kept.")
        try:
            params = await self._blobs.read(at.blob, at.offset, at.length)
            if zlib.crc32(params) != at.crc:
                raise Damaged("the stored params fail their checksum")
        except Damaged as damage:
            raise self._files.damaged(batch, at.blob, damage) from damage
        return params


def _kinds(call: ApiCall) -> tuple[str, ...]:
    text = call.query("results")
    kinds = FAILED if text is None else tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise InvalidRequest(f"results: Input should be of {', '.join(KINDS)}, set apart by commas")
    return kinds


def _labels(call: ApiCall, batch: Batch) -> Labels:
    """Return the name and labels of the first batch, with what the call's headers say, and whose failures these are."""
    said = labels(call.headers)
    named = batch.labels.edited(said.name or None, dict(said.pairs))
    if len(named.pairs) >= MOST_LABELS:
        return named
    return replace(named, pairs=tuple(sorted({**dict(named.pairs), OF: batch.id}.items())))
