"""Events become spans of OpenTelemetry: one for each attempt, each batch that ended, each interactive call. An extra.

A batch's span belongs to the trace of its create, if that had one. Its attempts may be a hundred thousand, and come
hours later: each is a trace of its own, with a link to the span of the create. A call that somebody waits for
belongs to the trace of its caller. What a client's trace does not record is not recorded here either.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from batchyard import __version__
from batchyard.domain import traceparent
from batchyard.domain.call_events import CallFinished
from batchyard.domain.events import AttemptFinished, BatchEnded, Event
from batchyard.domain.traceparent import SpanOf
from batchyard.domain.usage import Usage

MOST_WAITING = 50_000
"""Events that wait to become spans; further ones are left out, and counted in the log."""
AT_ONCE = 100
"""Spans that are made before the loop has its turn again: some milliseconds."""
EVERY_SECONDS = 0.2
MOST_KNOWN = 10_000
"""Batches whose create is remembered."""
_GOOD = "answered"
_Told = AttemptFinished | BatchEnded | CallFinished
"""What becomes a span."""

Look = Callable[[Collection[str]], Awaitable[Mapping[str, str]]]
"""Takes ids of batches; returns the ``traceparent`` of the create of each that had one."""


def exporter(url: str) -> SpanExporter:
    """Return what sends spans to a collector, by OTLP over HTTP. Headers come from the environment, as is usual."""
    return OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")


class Traces:
    """Takes every event; makes spans of them as ``run`` runs. Sampling is what OTEL_TRACES_SAMPLER says: all."""

    def __init__(self, exporter: SpanExporter, look: Look, now: Callable[[], datetime]) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", "batchyard")
        resource = Resource.create({SERVICE_NAME: name, SERVICE_VERSION: __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING, max_export_batch_size=1000)
        )
        self._tracer = self._provider.get_tracer("batchyard", __version__)
        self._look, self._now = look, now
        self._waiting: deque[tuple[int, _Told]] = deque()
        self._known: dict[str, SpanOf | None] = {}
        self._left_out = 0

    def __call__(self, event: Event) -> None:
        """Keep what becomes a span."""
        if not isinstance(event, _Told):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._left_out += 1
        else:
            self._waiting.append((int(self._now().timestamp() * 1e9), event))

    async def run(self) -> None:
        """Make spans until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._make()

    async def close(self) -> None:
        """Make what waits, and send it all; a collector that does not answer has some seconds."""
        await self._make()
        await asyncio.to_thread(self._provider.shutdown)

    async def _make(self) -> None:
        if self._left_out:
            logging.getLogger(__name__).warning("%d spans were left out: there were too many", self._left_out)
            self._left_out = 0
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            await self._learn({event.batch for _, event in some if not isinstance(event, CallFinished)})
            for ended, event in some:
                if isinstance(event, CallFinished):
                    created = traceparent.parse(event.traceparent)
                else:
                    created = self._known.get(event.batch)
                if created is not None and not created.sampled:
                    continue
                if isinstance(event, AttemptFinished):
                    self._attempt(event, ended, created)
                elif isinstance(event, CallFinished):
                    self._call(event, ended, created)
                else:
                    self._batch(event, ended, created)
            await asyncio.sleep(0)

    async def _learn(self, batches: Collection[str]) -> None:
        unknown = [batch for batch in batches if batch not in self._known]
        if not unknown:
            return
        if len(self._known) + len(unknown) > MOST_KNOWN:
            self._known.clear()
            unknown = list(batches)
        try:
            found = await self._look(unknown)
        except Exception as fault:  # noqa: BLE001 a store in trouble must not end the spans, nor hide itself in one
            logging.getLogger(__name__).warning("spans without their links: %s", type(fault).__name__)
            return
        self._known |= {batch: traceparent.parse(found.get(batch, "")) for batch in unknown}

    def _attempt(self, event: AttemptFinished, ended: int, created: SpanOf | None) -> None:
        facts: dict[str, str | int | bool] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": event.upstream,
            "gen_ai.request.model": event.model,
            "batchyard.batch.id": event.batch,
            "batchyard.request.seq": event.seq,
            "batchyard.attempt": event.attempt,
            "batchyard.attempt.is_repeat": event.is_repeat,
            "batchyard.outcome": event.outcome,
        }
        if event.outcome == _GOOD:
            facts |= _tokens(event.usage)
        else:
            facts["error.type"] = event.reason or event.outcome
        span = self._tracer.start_span(
            f"chat {event.model}",
            context=Context(),
            kind=SpanKind.CLIENT,
            attributes=facts,
            links=[] if created is None else [Link(_remote(created))],
            start_time=ended - int(event.seconds * 1e9),
        )
        if event.outcome != _GOOD:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _call(self, event: CallFinished, ended: int, caller: SpanOf | None) -> None:
        facts: dict[str, str | int | bool] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": event.upstream,
            "gen_ai.request.model": event.model,
            "batchyard.outcome": event.outcome,
            "batchyard.streamed": event.streamed,
        }
        if event.outcome != _GOOD:
            facts["error.type"] = event.reason or event.outcome
        elif not event.streamed:
            facts |= _tokens(event.usage)
        span = self._tracer.start_span(
            f"chat {event.model}".rstrip(),
            context=_within(caller),
            kind=SpanKind.CLIENT,
            attributes=facts,
            start_time=ended - int(event.seconds * 1e9),
        )
        if event.outcome != _GOOD:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _batch(self, event: BatchEnded, ended: int, created: SpanOf | None) -> None:
        counts = event.counts
        span = self._tracer.start_span(
            "batch",
            context=_within(created),
            kind=SpanKind.SERVER,
            attributes={
                "batchyard.batch.id": event.batch,
                "batchyard.workspace": event.workspace,
                "batchyard.requests.succeeded": counts.succeeded,
                "batchyard.requests.errored": counts.errored,
                "batchyard.requests.canceled": counts.canceled,
                "batchyard.requests.expired": counts.expired,
            },
            start_time=ended - int(event.seconds * 1e9),
        )
        span.end(ended)


def _tokens(used: Usage) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": used.all_input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write_tokens,
    }


def _within(span: SpanOf | None) -> Context:
    """Return the trace of somebody else's span; a new one where there is none."""
    return Context() if span is None else set_span_in_context(NonRecordingSpan(_remote(span)), Context())


def _remote(span: SpanOf) -> SpanContext:
    return SpanContext(span.trace_id, span.span_id, is_remote=True, trace_flags=TraceFlags(int(span.sampled)))
