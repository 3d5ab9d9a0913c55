"""Results as they finish, beside the wire: ``GET /batchyard/v1/batches/{id}/results?follow=true&after=N``.

    lines already committed ──> each as it comes ──> the batch ends: the rest from its sealed file

Lines come in the order of arrival, requests that never had an answer last. So the number of a line is its position:
who was cut asks again from there. While nothing comes, an empty line is sent now and then.
"""

import asyncio
from dataclasses import dataclass

from batchyard import wire
from batchyard.domain.batch import Batch, Status
from batchyard.domain.errors import InvalidRequest, NotFound, StoreUnavailable
from batchyard.ports import Batches, Clock, Damaged, Views
from batchyard.web.batches import known_form
from batchyard.web.calls import ApiCall, Sendable
from batchyard.web.protocol import Cut
from batchyard.web.sealed import ArrivalOrder, ResultLines, SealedFiles
from batchyard.web.settings import WebSettings

LINES_AT_ONCE = 500
SILENCE_SECONDS = 15.0
"""How long nothing is sent before an empty line: proxies and clients take a longer silence for a dead connection."""


class Follows:
    """Implements the path."""

    def __init__(self, batches: Batches, views: Views, files: SealedFiles, clock: Clock, settings: WebSettings) -> None:
        self._batches, self._views, self._files = batches, views, files
        self._clock, self._settings = clock, settings

    async def results(self, call: ApiCall, batch_id: str) -> Sendable:
        batch = await self._batches.get(call.workspace, known_form(batch_id))
        if batch.status is Status.ENDED:
            await self._files.sealed(batch)
        follow = _switch(call, "follow")
        after = _position(call, batch)
        return _Following(self._batches, self._views, self._files, self._clock, self._settings, batch, after, follow)


@dataclass(slots=True)
class _Following:
    """One reader. ``after`` lines were sent to it before, or had been read by it."""

    batches: Batches
    views: Views
    files: SealedFiles
    clock: Clock
    settings: WebSettings
    batch: Batch
    after: int
    follow: bool

    async def send(self, call: ApiCall) -> None:
        await call.start(200, wire.JSONL, None, (("cache-control", "no-store"),))
        if call.method == "HEAD":
            await call.write(b"", more=False)
            return
        try:
            while self.batch.status is not Status.ENDED:
                if not await self._send_what_came(call) and not await self._wait(call):
                    break
                self.batch = await self.batches.get(self.batch.workspace, self.batch.id)
            else:
                await self._send_the_rest(call)
        except (NotFound, StoreUnavailable, Damaged) as gone:  # deleted, or not readable: never a clean end
            raise Cut from gone
        await call.write(b"", more=False)

    async def _send_what_came(self, call: ApiCall) -> bool:
        """Send what was committed since; return whether that was anything."""
        came = await self.views.arrivals(self.batch.workspace, self.batch.id, after=self.after, limit=LINES_AT_ONCE)
        if came:
            await call.write(b"".join(wire.result_line(one.custom_id, one.result) for one in came), more=True)
            self.after += len(came)
        return bool(came)

    async def _wait(self, call: ApiCall) -> bool:
        """Wait for more; return False where nobody wants to. An ended batch is waited for no longer."""
        if not self.follow:
            self.batch = await self.batches.get(self.batch.workspace, self.batch.id)
            return self.batch.status is Status.ENDED
        until = self.clock.monotonic() + SILENCE_SECONDS
        while self.clock.monotonic() < until:
            await asyncio.sleep(self.settings.follow_seconds)
            if await self._send_what_came(call):
                return True
            self.batch = await self.batches.get(self.batch.workspace, self.batch.id)
            if self.batch.status is Status.ENDED:
                return True
        await call.write(b"\n", more=True)
        return True

    async def _send_the_rest(self, call: ApiCall) -> None:
        """Send the lines that were not sent yet from the sealed file, in the order of arrival."""
        sealed = await self.files.sealed(self.batch)
        order = ArrivalOrder()
        async for entries in self.files.index(self.batch):
            order.add(entries)
        places = await asyncio.to_thread(order.places)
        reader = await self.files.open(self.batch, sealed.results)
        try:
            lines, held = ResultLines(reader), bytearray()
            for seq in places[self.after :]:
                held += await lines.line(order.offsets[seq], order.lengths[seq])
                if len(held) >= self.settings.read_bytes:
                    await call.write(bytes(held), more=True)
                    held.clear()
                    await self.batches.get(self.batch.workspace, self.batch.id)  # deleted: cut
            await call.write(bytes(held), more=True)
        finally:
            reader.close()


def _switch(call: ApiCall, name: str) -> bool:
    text = call.query(name)
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"{name}: Input should be true or false")
    return text == "true"


def _position(call: ApiCall, batch: Batch) -> int:
    text = call.query("after")
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= batch.counts.total):
        raise InvalidRequest(f"after: Input should be a number of lines, at most {batch.counts.total} of this batch")
    return int(text)
