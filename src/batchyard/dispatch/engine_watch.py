"""Looks into model servers that tell of their own line, once a second while they have work of ours."""

import asyncio

from batchyard.dispatch.lanes import Lanes
from batchyard.dispatch.slots import Server
from batchyard.domain.events import BugFound, Emit
from batchyard.ports import Clock, EngineGauge

LOOK_SECONDS = 1.0
FAILED_SECONDS = 30.0
"""Between looks where the last one told nothing: the server may not have been started with its metrics on."""


class EngineWatch:
    """Over all upstreams that have a gauge."""

    def __init__(self, lanes: Lanes, clock: Clock, emit: Emit) -> None:
        self._lanes, self._clock, self._emit = lanes, clock, emit

    async def run(self) -> None:
        """Look for as long as the process works."""
        watched = [(server, server.gauge) for server in self._lanes.servers.values() if server.gauge is not None]
        async with asyncio.TaskGroup() as group:
            for server, gauge in watched:
                group.create_task(self._watch(server, gauge))

    async def _watch(self, server: Server, gauge: EngineGauge) -> None:
        while True:
            seconds = LOOK_SECONDS
            if server.running or server.calls:
                seconds = LOOK_SECONDS if await self._look(server, gauge) else FAILED_SECONDS
            await asyncio.sleep(seconds)

    async def _look(self, server: Server, gauge: EngineGauge) -> bool:
        try:
            load = await gauge.load()
        except Exception as bug:  # noqa: BLE001 nothing that a gauge does may stop the work
            self._emit(BugFound("engine gauge", bug))
            load = None
        share = server.ceiling / server.limit
        server.line.read(load, server.running + server.calls, share, self._clock.monotonic())
        server.freed()
        return load is not None
