"""Making a carrier's upstream batch: the members that can be sent are sent, the others are refused here, at no cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from batchyard.dispatch.carrier_body import LeaseOver, Packing
from batchyard.dispatch.carrier_place import Standby
from batchyard.dispatch.carrier_tender import Tender
from batchyard.domain.carrier import UpstreamBatch
from batchyard.domain.echo import without_echo, without_words
from batchyard.domain.errors import StoreUnavailable
from batchyard.domain.outcome import Held, NotStarted, Outcome, Refused
from batchyard.domain.request import Lease
from batchyard.domain.result import RequestError
from batchyard.domain.retry import settle
from batchyard.ports import Carrier, Damaged
from batchyard.ports.batch_upstreams import CarrierCreate, TooMuch

_LINE = re.compile(r"\brequests\.(\d{1,6})\b")
"""How servers of this API name the request that a create is refused for."""


@dataclass(frozen=True, slots=True)
class Created:
    """What the upstream said to a create of these members; None where there was nothing to send."""

    told: UpstreamBatch | TooMuch | Outcome | None
    sent: Sequence[Lease]


class Creating:
    """One try of a carrier's create."""

    def __init__(self, tender: Tender, standby: Standby, carrier: Carrier) -> None:
        self._tender, self._standby, self._carrier = tender, standby, carrier

    async def run(self, leases: Sequence[Lease]) -> Created:
        """Settle what cannot be sent, and send the rest once."""
        place, carrier = self._standby.place, self._carrier
        packing = Packing(self._tender.blobs, self._tender.emit, carrier, asks=place.asks, judge=place.judge)
        packed = await packing.pack(leases)
        await self.refuse(packed.refused)
        if not packed.sent:
            return Created(None, ())
        may_send = self._tender.may_send
        create = CarrierCreate(
            carrier.id, carrier.version, carrier.betas, packed.length, lambda: packing.body(packed.sent, may_send)
        )
        try:
            told = await place.upstream.create(create)
        except LeaseOver:
            told = NotStarted(RequestError("api_error", "not sent: the lease was over"))
        except Damaged:  # since it was packed; the next try refuses the member that it is
            told = NotStarted(RequestError("api_error", "stored params were damaged"))
        return Created(await _shown(told, packing, packed.sent) if isinstance(told, Held) else told, packed.sent)

    async def refuse(self, refused: Sequence[tuple[Lease, RequestError]]) -> None:
        """Settle members that will never be sent."""
        now, jitter = self._tender.clock.now(), self._tender.jitter()
        outcomes = [(lease, Refused(error)) for lease, error in refused]
        await self._tender.settle(
            self._carrier,
            [(settle(lease, outcome, self._carrier.created_at, now, jitter), outcome) for lease, outcome in outcomes],
        )


async def _shown(held: Held, packing: Packing, sent: Sequence[Lease]) -> Outcome:
    """Return why the upstream is held, in its words unless they repeat what was sent: it is read once more for that."""
    shown: Outcome = held
    try:
        async for part in packing.body(sent, lambda: True):
            shown = without_echo(held, part)
            if shown is not held:
                break
    except (Damaged, StoreUnavailable):
        return without_words(held)
    return shown


def blamed(sent: Sequence[Lease], error: RequestError) -> Sequence[Lease]:
    """Return which members a create was refused for: the one that the error names, else all of them."""
    found = _LINE.search(error.message)
    if found is not None and int(found[1]) < len(sent):
        return [sent[int(found[1])]]
    return sent
