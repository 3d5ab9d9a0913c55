"""The lanes of this process over HTTP, beside the wire: what they are doing, and pausing them."""

import msgspec

from batchyard.domain.access import Scope
from batchyard.ports import LaneDesk
from batchyard.web.calls import Answer, ApiCall
from batchyard.web.routes import Route


class LaneCalls:
    """``GET /batchyard/v1/lanes`` and ``POST …/{upstream}[/{model}]/pause`` and ``resume``."""

    def __init__(self, desk: LaneDesk) -> None:
        self._desk = desk

    async def board(self, _: ApiCall) -> Answer:
        return Answer(msgspec.json.encode(self._desk.board()))

    async def pause(self, _: ApiCall, upstream: str, model: str | None = None, *, paused: bool) -> Answer:
        lane = await self._desk.pause(upstream, model, paused=paused)
        return Answer(msgspec.json.encode({"lane": lane, "paused": paused}))


def routes(desk: LaneDesk) -> list[Route]:
    """Return the routes of lanes. They show what all workspaces do together, and stop them all: the operator's."""
    to, lanes = LaneCalls(desk), "/batchyard/v1/lanes"
    verbs = (("pause", {"paused": True}), ("resume", {"paused": False}))
    return [
        Route("GET", lanes, Scope.ADMIN, to.board),
        *(Route("POST", f"{lanes}/{{upstream}}/{verb}", Scope.ADMIN, to.pause, fixed) for verb, fixed in verbs),
        *(
            Route("POST", f"{lanes}/{{upstream}}/{{model}}/{verb}", Scope.ADMIN, to.pause, fixed)
            for verb, fixed in verbs
        ),
    ]
