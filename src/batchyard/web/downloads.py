"""A sealed file on its way to a client: whole, or cut.

With its ``Content-Length`` unmet, a client cannot take a cut download for the whole. It is cut when its batch is
deleted or archived meanwhile, and when bytes are not what was written.
"""

import asyncio
from dataclasses import dataclass

from batchyard import wire
from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound, StoreUnavailable
from batchyard.domain.events import DamageFound, Emit
from batchyard.ports import Batches, BlobReader, Damaged
from batchyard.web.calls import ApiCall
from batchyard.web.protocol import Cut
from batchyard.web.settings import WebSettings


@dataclass(frozen=True, slots=True)
class Span:
    """A range: the first byte and the one after the last."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Download:
    """``chunk`` is the first part, read already. At most one part is held at a time."""

    batches: Batches
    emit: Emit
    settings: WebSettings
    batch: Batch
    blob: str
    size: int
    reader: BlobReader
    chunk: bytes
    span: Span | None
    headers: tuple[tuple[str, str], ...]

    async def send(self, call: ApiCall) -> None:
        try:
            span = self.span or Span(0, self.size)
            headers = self.headers
            if self.span:
                headers = (*headers, ("content-range", f"bytes {span.first}-{span.end - 1}/{self.size}"))
            await call.start(206 if self.span else 200, wire.JSONL, span.end - span.first, headers)
            await self._pump_while_there(call, span)
        finally:
            self.reader.close()

    async def _pump_while_there(self, call: ApiCall, span: Span) -> None:
        pumping = asyncio.create_task(self._pump(call, span), name="download")
        watching = asyncio.create_task(self._until_gone(), name="download-watch")
        try:
            await asyncio.wait({pumping, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not pumping.done():
                raise Cut
            await pumping
        finally:
            pumping.cancel()
            watching.cancel()
            await asyncio.gather(pumping, watching, return_exceptions=True)

    async def _pump(self, call: ApiCall, span: Span) -> None:
        """Send part after part; each waits until the client has taken the one before."""
        sent = span.first + len(self.chunk)
        await call.write(self.chunk, more=sent < span.end)
        while sent < span.end:
            try:
                chunk = await self.reader.read(sent, min(self.settings.read_bytes, span.end - sent))
            except Damaged as damage:
                self.emit(DamageFound(self.blob, str(damage)))
                raise Cut from damage
            except StoreUnavailable as error:
                raise Cut from error
            sent += len(chunk)
            await call.write(chunk, more=sent < span.end)

    async def _until_gone(self) -> None:
        """Return, after however long, once the batch or its results are gone."""
        while True:
            await asyncio.sleep(self.settings.recheck_seconds)
            try:
                if not (await self.batches.get(self.batch.workspace, self.batch.id)).has_results:
                    return
            except NotFound:
                return
            except StoreUnavailable:
                continue  # a store that cannot be read has deleted nothing either
