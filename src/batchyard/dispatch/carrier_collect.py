"""Collecting a carrier: the results of its upstream batch, line by line, each settled once, however often it is read.

A collection that breaks off is begun again: what was settled is no member any more, and its line is passed over.
"""

from collections.abc import Sequence
from enum import Enum

import msgspec

from batchyard.dispatch.beside import kept_model_of
from batchyard.dispatch.carrier_place import Standby
from batchyard.dispatch.carrier_tender import Tender
from batchyard.domain.carrier_line import CarrierLine, seq_of
from batchyard.domain.events import CarrierSent
from batchyard.domain.outcome import Answered, Finish, Held, Outcome, Settlement
from batchyard.domain.request import Lease
from batchyard.domain.retry import settle
from batchyard.ports import Carrier
from batchyard.ports.batch_upstreams import Absent

GROUP = 256
"""Members settled in one commit."""
GROUP_BYTES = 4 * 1024 * 1024
"""Bytes of messages that are worth one."""


class Ended(Enum):
    """How a collection ended that did not break off."""

    WHOLE = "whole"  # every line was read; members that are left had none
    FOREIGN = "foreign"  # its lines are not this carrier's
    LEFT = "left"  # we drain, or tend the carrier no longer
    ABSENT = "absent"  # there are no results


class Collection:
    """One reading of the results of ``upstream_id``. ``left``: members that are not settled, once they are known.

    With ``proven`` the upstream batch is known to be the carrier's; else its first line says whether it is, and from
    then on the store knows it too.
    """

    def __init__(self, tender: Tender, standby: Standby, carrier: Carrier, upstream_id: str, *, proven: bool) -> None:
        self._tender, self._standby, self._carrier, self._id = tender, standby, carrier, upstream_id
        self.proven = proven
        self._members: dict[int, Lease] = {}
        self._jitter = tender.jitter()  # one for all: what is tried again together travels together

    @property
    def left(self) -> int:
        """Members that had no line yet."""
        return len(self._members)

    async def run(self) -> Ended | Outcome:
        """Read and settle until the end, or the outcome of a break."""
        members = await self._tender.store.members(self._carrier.id)
        self._members = {lease.seq: lease for lease in members}
        lines = await self._standby.place.upstream.results(self._id)
        if isinstance(lines, Absent):
            return Ended.ABSENT
        if isinstance(lines, Outcome):
            return lines
        group: list[tuple[Settlement, Outcome]] = []
        size = 0
        try:
            while True:
                read = await lines.read()
                if isinstance(read, Outcome) or not read:
                    await self._tender.settle(self._carrier, group)
                    return read if isinstance(read, Outcome) else self._end()
                if not self.proven and (ended := await self._prove(read)) is not None:
                    return ended
                for line in read:
                    if (settled := await self._settlement(line)) is not None:
                        group.append(settled)
                        size += len(line.outcome.message) if isinstance(line.outcome, Answered) else 0
                    if len(group) >= GROUP or size >= GROUP_BYTES:
                        await self._tender.settle(self._carrier, group)
                        group, size = [], 0
                if self._tender.draining:
                    await self._tender.settle(self._carrier, group)
                    return Ended.LEFT
        finally:
            await lines.close()

    def _end(self) -> Ended:
        return Ended.WHOLE if self.proven else Ended.FOREIGN

    async def _prove(self, lines: Sequence[CarrierLine]) -> Ended | None:
        """Look for our nonce in the first lines; the batch is ours if it is there."""
        if not any(seq_of(self._carrier.id, line.custom_id) is not None for line in lines):
            return Ended.FOREIGN
        if not await self._tender.store.sent(self._tender.owner, self._carrier.id, self._id):
            return Ended.LEFT
        self._tender.emit(CarrierSent(self._carrier.id, self._carrier.lane, self._id))
        self.proven = True
        return None

    async def _settlement(self, line: CarrierLine) -> tuple[Settlement, Outcome] | None:
        """Return what becomes of the member that the line is for; None for a line of nobody, or of one that had one."""
        seq = seq_of(self._carrier.id, line.custom_id)
        lease = None if seq is None else self._members.pop(seq, None)
        if lease is None:
            return None
        if isinstance(line.outcome, Held):
            self._standby.went_badly(line.outcome, self._carrier.lane)
        now = self._tender.clock.now()
        settlement = settle(lease, line.outcome, self._carrier.created_at, now, self._jitter)
        if isinstance(settlement, Finish) and isinstance(line.outcome, Answered) and not lease.model:
            settlement = msgspec.structs.replace(settlement, named=await kept_model_of(line.outcome.message))
        if line.ended:
            trace = msgspec.structs.replace(settlement.trace, reason=line.ended)
            settlement = msgspec.structs.replace(settlement, trace=trace)
        return settlement, line.outcome
