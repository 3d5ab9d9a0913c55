"""Trying the configured upstreams: one small call of each kind, and plain words for what came of it."""

from collections.abc import AsyncIterator

import msgspec

from batchyard import assembly
from batchyard.dispatch.carrier_place import BatchPlace
from batchyard.dispatch.lanes import Place
from batchyard.domain.outcome import Answered, Held, Outcome
from batchyard.ports import Call, Clock
from batchyard.ports.batch_upstreams import Listed
from batchyard.settings import Settings
from batchyard.upstream_tables import BATCHES, UpstreamTable

VERSION = "2023-06-01"
"""What every server of the dialect knows."""
SMALL = 16
"""Tokens asked for: enough for any server, cheap at any."""


class Finding(msgspec.Struct, frozen=True):
    """What one check of one upstream showed. ``needed``: batches do not run without it."""

    upstream: str
    check: str
    works: bool
    needed: bool
    words: str
    seconds: float = 0.0


class Configured(msgspec.Struct, frozen=True):
    """One upstream as it is configured, and the patterns of models that lead to it."""

    upstream: str
    api: str
    url: str | None
    concurrency: int
    has_key: bool
    models: list[str]
    fallback_for: list[str]


def configured(settings: Settings) -> list[Configured]:
    """Return every upstream of the settings."""
    routes = assembly.routes(settings)
    return [
        Configured(
            table.name,
            table.api,
            table.url,
            table.concurrency or settings.concurrency,
            table.key is not None,
            [one for route in routes if table.name in [to.upstream for to in route.targets] for one in route.models],
            [one for route in routes if table.name in [to.upstream for to in route.fallback] for one in route.models],
        )
        for table in assembly.tables(settings)
    ]


async def findings(
    settings: Settings, clock: Clock, *, only: str | None = None, model: str | None = None
) -> AsyncIterator[Finding]:
    """Try each upstream, or only one. Raises ``DataRefused`` for a URL or a key that cannot be used.

    ``model`` is asked for as a client would; else the upstream's own name for all, else the first that it lists.
    """
    for place, table in zip(assembly.places(settings, clock), assembly.tables(settings), strict=True):
        if only is None or place.name == only:
            try:
                async for finding in _Trial(place, table, clock).run(model):
                    yield finding
            finally:
                await place.upstream.close()
    for batched in assembly.batch_places(settings, clock):
        if only is None or batched.name == only:
            try:
                yield await _takes_batches(batched, clock)
            finally:
                await batched.upstream.close()


async def _takes_batches(place: BatchPlace, clock: Clock) -> Finding:
    """Ask for its list: that costs nothing, and shows whether batches can be made with this key."""
    began = clock.monotonic()
    listed = await place.upstream.listed(clock.now())
    works = isinstance(listed, Listed)
    words = f"takes batches: lists {len(listed.batches)}" if isinstance(listed, Listed) else _words(listed)
    seconds = round(clock.monotonic() - began, 3)
    return Finding(place.name, "batches", works=works, needed=True, words=words, seconds=seconds)


class _Trial:
    """The checks of one upstream, each timed."""

    def __init__(self, place: Place, table: UpstreamTable, clock: Clock) -> None:
        self._place, self._table, self._clock = place, table, clock
        self._began = clock.monotonic()

    async def run(self, model: str | None) -> AsyncIterator[Finding]:
        listed = await self._place.upstream.models()
        known = [] if isinstance(listed, Outcome) else [one.id for one in listed]
        words = _words(listed) if isinstance(listed, Outcome) else f"lists {len(known)}" if known else "keeps no list"
        yield self._found("models", words, works=bool(known))
        asked = self._place.names.of(model) if model else self._place.names.always or next(iter(known), "")
        if not asked:
            yield self._found("answer", "not tried: name a model with --try", works=False, needed=self._is_needed)
            return
        answer = await self._answer(asked)
        yield answer
        if answer.works:
            yield await self._stream(asked)
            yield await self._count(asked)

    @property
    def _is_needed(self) -> bool:
        """Batches run by these calls, unless the server takes batches itself."""
        return self._table.api != BATCHES

    async def _answer(self, model: str) -> Finding:
        outcome = await self._place.upstream.attempt(_call(model, max_tokens=SMALL))
        if isinstance(outcome, Answered):
            words = f"{model}: {outcome.input_tokens} tokens in, {outcome.output_tokens} out"
            return self._found("answer", words, works=True, needed=self._is_needed)
        advice = ""
        if isinstance(outcome, Held) and self._table.key is None:
            advice = " (no key is configured for it)"
        return self._found("answer", f"{model}: {_words(outcome)}{advice}", works=False, needed=self._is_needed)

    async def _stream(self, model: str) -> Finding:
        stream = await self._place.upstream.stream(_call(model, max_tokens=SMALL, stream=True))
        if isinstance(stream, Outcome):
            return self._found("stream", _words(stream), works=False)
        size = 0
        while part := await stream.read():
            if isinstance(part, Outcome):
                return self._found("stream", _words(part), works=False)
            size += len(part)
        await stream.close()
        return self._found("stream", f"{size} bytes of events", works=True)

    async def _count(self, model: str) -> Finding:
        count = await self._place.upstream.count(_call(model))
        words = _words(count) if isinstance(count, Outcome) else f"{count} tokens"
        return self._found("count", words, works=isinstance(count, int))

    def _found(self, check: str, words: str, *, works: bool, needed: bool = False) -> Finding:
        began, self._began = self._began, self._clock.monotonic()
        return Finding(self._place.name, check, works, needed, words, round(self._began - began, 3))


def _call(model: str, **more: object) -> Call:
    params = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], **more}
    return Call(msgspec.json.encode(params), VERSION, batched=False)


def _words(outcome: Outcome) -> str:
    return "works" if isinstance(outcome, Answered) else outcome.error.message
