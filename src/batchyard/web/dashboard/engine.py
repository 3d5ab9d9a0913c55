"""What works: upstreams and their lanes as this process sees them, why they wait, and who else dispatches."""

from batchyard.ports import Clock, LaneDesk, Upkeep
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Pages, Visit, seen_other

WAITS = {
    "slots": "the upstream's slots are in use",
    "line": "enough wait inside the server",
    "first_token": "more would keep first tokens back",  # a token of text  # nosec B105
    "limit": "its own slots are in use",
    "pace": "little is left of the server's rate limit",
    "held": "it failed and is held",
    "probing": "a small call tries whether it is well",
    "paused": "it is paused",
    "closed": "it is closed at this hour",
    "recovering": "it opens again, with each answer a little more",
}
BOUNDS = {
    "outage": "after an outage",
    "refusals": "by its refusals",
    "queueing": "by its queue",
    "first_token": "by its first tokens",  # a token of text  # nosec B105
}
LONGEST_NAME = 500


class EnginePage:
    """``/engine``: the operator's, for it shows and stops what all workspaces do together."""

    def __init__(self, lanes: LaneDesk, upkeep: Upkeep, clock: Clock, pages: Pages, *, role: str = "all") -> None:
        self._dispatches = role != "api"
        self._lanes, self._upkeep, self._clock, self._pages = lanes, upkeep, clock, pages

    async def show(self, visit: Visit) -> Answer:
        now = self._clock.now()
        board = self._lanes.board()
        values = {
            "upstreams": board.upstreams,
            "lanes": board.lanes,
            "owners": [(owner, now - owner.beaten_at) for owner in await self._upkeep.owners(now)],
            "waits": WAITS,
            "bounds": BOUNDS,
            "dispatches": self._dispatches,
            "now": now,
        }
        return self._pages.page(visit, "_engine.html" if visit.is_part else "engine.html", values)

    async def pause(self, visit: Visit, *, paused: bool) -> Answer:
        """Pause or resume the lane that the form names, or all of an upstream where it names no lane."""
        upstream, model = visit.form.get("upstream", ""), visit.form.get("model")
        await self._lanes.pause(upstream[:LONGEST_NAME], model, paused=paused)
        return seen_other(visit, "/engine")
