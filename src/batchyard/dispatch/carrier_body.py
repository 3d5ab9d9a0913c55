"""From the members of a carrier to the body of its create: read twice, never held whole.

The first reading tells which members can be sent, and how long the body is; the second one sends them.
"""

import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from batchyard.dispatch.beside import beside
from batchyard.domain.carrier_line import custom_id
from batchyard.domain.events import DamageFound, Emit
from batchyard.domain.request import Lease
from batchyard.domain.result import RequestError
from batchyard.ports import Blobs, Call, Carrier, Damaged

PART_BYTES = 64 * 1024
"""Parts of the body are about so large: one write each."""
ENVELOPE_BYTES = 128
"""More than what a create adds to the params of one request: custom_id, names, braces."""
_BEGIN, _END = b'{"requests":[', b"]}"
_DAMAGED = RequestError("api_error", "The stored params of this request are damaged: send it again.")


class LeaseOver(Exception):
    """The owner's lease ended while it sent a body: somebody else may be sending it by now."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The members that are sent, in this order, the others with why not, and the body's bytes, counted."""

    sent: Sequence[Lease]
    refused: Sequence[tuple[Lease, RequestError]]
    length: int


class Packing:
    """Makes the body of one carrier's create. ``asks`` returns a call as the upstream is asked, ``judge`` why not."""

    def __init__(
        self,
        blobs: Blobs,
        emit: Emit,
        carrier: Carrier,
        *,
        asks: Callable[[Call, str], Call],
        judge: Callable[[Call], RequestError | None],
    ) -> None:
        self._blobs, self._emit, self._carrier = blobs, emit, carrier
        self._asks, self._judge = asks, judge

    async def pack(self, leases: Sequence[Lease]) -> Packed:
        """Read the params of all members, and weigh them."""
        sent: list[Lease] = []
        refused: list[tuple[Lease, RequestError]] = []
        length = len(_BEGIN) + len(_END)
        for lease in leases:
            try:
                call = await self._call(lease)
                wrong = await beside(len(call.params), self._judge, call)
            except Damaged as damage:
                self._emit(DamageFound(lease.params.blob, str(damage)))
                call, wrong = None, _DAMAGED
            if call is None or wrong is not None:
                refused.append((lease, wrong or _DAMAGED))
                continue
            length += len(self._entry(lease, call)) + (1 if sent else 0)
            sent.append(lease)
        return Packed(sent, refused, length)

    async def body(self, sent: Sequence[Lease], may_send: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Yield the body of these members.

        Raises ``Damaged`` where their params are no longer what they were, and ``LeaseOver`` before any part that may
        not be sent: a process that was frozen in the middle must not end its create when it thaws.
        """
        part = bytearray(_BEGIN)
        for number, lease in enumerate(sent):
            part += b"," if number else b""
            part += self._entry(lease, await self._call(lease))
            if len(part) >= PART_BYTES:
                yield _sendable(part, may_send)
                part.clear()
        yield _sendable(part + _END, may_send)

    def _entry(self, lease: Lease, call: Call) -> bytes:
        return b'{"custom_id":"%b","params":%b}' % (custom_id(self._carrier.id, lease.seq).encode(), call.params)

    async def _call(self, lease: Lease) -> Call:
        at = lease.params
        params = await self._blobs.read(at.blob, at.offset, at.length)
        if zlib.crc32(params) != at.crc:
            raise Damaged("the stored params fail their checksum")
        call = Call(params, self._carrier.version, self._carrier.betas)
        return await beside(len(params), self._asks, call, lease.model)


def _sendable(part: bytearray, may_send: Callable[[], bool]) -> bytes:
    if not may_send():
        raise LeaseOver
    return bytes(part)
