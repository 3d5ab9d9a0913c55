"""Who dispatches on this store, and what they hold: ``GET /batchyard/v1/owners``."""

import msgspec

from batchyard.ports import Clock, Owner, Upkeep
from batchyard.web.calls import Answer, ApiCall


class Owners:
    """Implements the path."""

    def __init__(self, upkeep: Upkeep, clock: Clock) -> None:
        self._upkeep, self._clock = upkeep, clock

    async def owners(self, _: ApiCall) -> Answer:
        now = self._clock.now()
        told = [self._told(owner, (now - owner.beaten_at).total_seconds()) for owner in await self._upkeep.owners(now)]
        return Answer(msgspec.json.encode({"owners": told}))

    @staticmethod
    def _told(owner: Owner, seconds: float) -> dict[str, object]:
        return {
            "id": owner.id,
            "lives": owner.lives,
            "seconds_since_heartbeat": round(max(0.0, seconds), 3),
            "leases": owner.leases,
            "carriers": owner.carriers,
        }
