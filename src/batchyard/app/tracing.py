"""Spans of what a process does, where the settings name a collector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batchyard.app.kept import Kept
from batchyard.domain.errors import DataRefused
from batchyard.domain.events import Emit, Event
from batchyard.settings import Settings

NO_OPENTELEMETRY = "[watch] traces needs OpenTelemetry, which is not installed: pip install 'batchyard[traces]'"


@asynccontextmanager
async def traced(settings: Settings, kept: Kept, observe: Emit) -> AsyncIterator[Emit]:
    """Give what is told of every event: ``observe``, and the spans. At the end they are sent."""
    if settings.watch.traces is None:
        yield observe
        return
    try:
        from batchyard.traces import Traces, exporter  # noqa: PLC0415 an extra
    except ModuleNotFoundError:
        raise DataRefused(NO_OPENTELEMETRY) from None
    traces = Traces(exporter(settings.watch.traces), kept.store.views.traceparents, kept.clock.now)

    def both(event: Event) -> None:
        observe(event)
        traces(event)

    running = asyncio.create_task(traces.run(), name="traces")
    try:
        yield both
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await traces.close()
