"""Makes the upstreams that the settings name, and the routes to them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from batchyard.dispatch.carrier_place import BatchPlace, Gathering
from batchyard.dispatch.lanes import Place
from batchyard.domain import params_pass, params_strict
from batchyard.domain.errors import DataRefused
from batchyard.domain.result import RequestError
from batchyard.domain.routes import Names, Route, Target, route
from batchyard.domain.windows import Window, is_open, opens_at, window
from batchyard.ports import Call, Clock, EngineGauge, Upstream
from batchyard.settings import Settings
from batchyard.upstream.batches import BatchesUpstream
from batchyard.upstream.chat_completions import ChatUpstream
from batchyard.upstream.engine import MetricsGauge
from batchyard.upstream.exchange import CallLimits
from batchyard.upstream.judged import JudgedUpstream
from batchyard.upstream.messages import MessagesUpstream
from batchyard.upstream.simulator import Simulator, SimulatorSettings
from batchyard.upstream_tables import BATCHES, SIMULATOR, UpstreamTable
from batchyard.vault import Vault

WITH_METRICS = frozenset({"vllm", "sglang", "llama.cpp"})
"""Kinds of servers that tell of their own line."""
SHORT_LINE = 2
"""Calls in that line where nothing else is set: the engine finds the next one, and nobody waits long."""
ONLY = "upstream"
"""The name of the upstream that ``--upstream`` makes."""


def tables(settings: Settings) -> Sequence[UpstreamTable]:
    """Return the upstreams, those without a table of their own too."""
    if settings.upstreams:
        return [_with_its_key(table, settings) for table in settings.upstreams]
    if settings.upstream is None:
        return [UpstreamTable(SIMULATOR, api=SIMULATOR)]
    return [UpstreamTable(ONLY, url=settings.upstream, api=settings.upstream_api, key=settings.upstream_key)]


def _with_its_key(table: UpstreamTable, settings: Settings) -> UpstreamTable:
    if not table.key_stored or table.url is None:
        return table
    return replace(table, key=Vault(settings.data, settings.vault_secret).key(table.name, table.url))


def places(settings: Settings, clock: Clock) -> list[Place]:
    """Return every upstream as lanes use it. Raises ``DataRefused`` for a URL or a key that cannot be used."""
    return [
        Place(
            table.name,
            upstream(table, settings, clock),
            table.concurrency or settings.concurrency,
            Names(table.model or settings.model, table.models),
            _hours(table, clock),
            by_batch=table.api == BATCHES,
            opens_at=_opening(table, clock),
            gauge=_gauge(table),
            line=SHORT_LINE if table.line is None else table.line,
            first_token=None if table.first_token is None else table.first_token.total_seconds(),
        )
        for table in tables(settings)
    ]


def _gauge(table: UpstreamTable) -> EngineGauge | None:
    """Only where the operator says that it is such a server: nobody else is asked for metrics."""
    if table.url is None or table.api == BATCHES or (table.line is None and table.server not in WITH_METRICS):
        return None
    return MetricsGauge(table.url.partition("?")[0], table.key)


def batch_places(settings: Settings, clock: Clock) -> list[BatchPlace]:
    """Return every upstream that takes batches itself, as carriers use it."""
    return [_batch_place(table, settings, clock) for table in tables(settings) if table.api == BATCHES]


def _batch_place(table: UpstreamTable, settings: Settings, clock: Clock) -> BatchPlace:
    assert table.url is not None, "the settings require a URL"
    gathering = Gathering(
        requests=table.carrier_requests,
        bytes=table.carrier_bytes,
        seconds=table.gather.total_seconds(),
        poll=table.poll.total_seconds(),
        keyed=table.idempotency_keys,
        deletes=table.delete_collected,
    )
    return BatchPlace(
        table.name,
        BatchesUpstream(
            table.url, table.key, _limits(table), forward_version=table.forward_version is not False, now=clock.now
        ),
        gathering,
        Names(table.model or settings.model, table.models),
        _strictly if table.params == "strict" else _lightly,
        _hours(table, clock),
    )


def _windows(table: UpstreamTable) -> list[Window]:
    try:
        return [window(text) for text in table.windows]
    except ValueError:
        raise DataRefused(f"upstreams.{table.name}: windows: there is no such hour in {table.windows}") from None


def _opening(table: UpstreamTable, clock: Clock) -> Callable[[], datetime | None]:
    """Return when the hours of an upstream begin, where they are not now."""
    windows, zone = _windows(table), ZoneInfo(table.timezone)
    return lambda: opens_at(windows, clock.now().astimezone(zone))


def _hours(table: UpstreamTable, clock: Clock) -> Callable[[], bool]:
    """Return whether the hours of an upstream are now; looked up once a second, for it is asked for each slot."""
    windows = _windows(table)
    if not windows:
        return lambda: True
    zone = ZoneInfo(table.timezone)
    known: tuple[float, bool] = (-1.0, False)

    def is_open_now() -> bool:
        nonlocal known
        now = clock.monotonic()
        if not known[0] <= now < known[0] + 1.0:
            known = (now, is_open(windows, clock.now().astimezone(zone)))
        return known[1]

    return is_open_now


def routes(settings: Settings) -> list[Route]:
    """Return the routes; where none is named, every model goes to the only upstream."""
    if not settings.routes:
        return [Route(("*",), tuple(Target(table.name) for table in tables(settings)))]
    return [
        Route(
            route.models,
            tuple(Target(name, weight) for name, weight in route.to),
            tuple(Target(name, weight) for name, weight in route.fallback),
        )
        for route in settings.routes
    ]


def asked(settings: Settings) -> Callable[[str], Collection[str]]:
    """Return what tells by which other names upstreams are asked for a model that clients name."""
    names = {table.name: Names(table.model or settings.model, table.models) for table in tables(settings)}
    ways = routes(settings)

    def others(model: str) -> Collection[str]:
        found = route(ways, model)
        targets = () if found is None else (*found.targets, *found.fallback)
        return {names[target.upstream].of(model) for target in targets} - {model}

    return others


def upstream(table: UpstreamTable, settings: Settings, clock: Clock) -> Upstream:
    """Return the adapter for one upstream."""
    if table.api == SIMULATOR:
        return _simulator(settings, clock)
    limits = _limits(table)
    assert table.url is not None, "the settings require a URL"
    try:
        inner: Upstream
        if table.api == "chat-completions":
            inner = ChatUpstream(table.url, table.key, limits, server=table.server, streams=table.stream, now=clock.now)
        else:
            inner = MessagesUpstream(
                table.url,
                table.key,
                limits,
                server=table.server,
                forward_version=table.forward_version,
                forward_betas=table.forward_betas,
                streams=table.stream,
                now=clock.now,
            )
    except ValueError as wrong:
        where = f"upstreams.{table.name}" if settings.upstreams else "--upstream"
        raise DataRefused(f"{where}: {wrong}") from wrong
    return JudgedUpstream(inner, _strictly if table.params == "strict" else _lightly)


def _limits(table: UpstreamTable) -> CallLimits:
    return CallLimits(
        total_seconds=table.timeout.total_seconds(),
        first_byte_seconds=None if table.first_byte is None else table.first_byte.total_seconds(),
        silence_seconds=None if table.silence is None else table.silence.total_seconds(),
        max_answer_bytes=table.max_answer_bytes,
    )


def _strictly(call: Call) -> RequestError | None:
    return params_strict.refuse(call.params, version=call.version, betas=call.betas)


def _lightly(call: Call) -> RequestError | None:
    return params_pass.refuse(call.params)


def _simulator(settings: Settings, clock: Clock) -> Upstream:
    simulator = SimulatorSettings(
        latency=settings.simulator_latency.total_seconds(),
        jitter=settings.simulator_jitter,
        tokens_per_second=settings.simulator_tokens_per_second,
        capacity=settings.simulator_capacity,
    )
    return Simulator(simulator, now=clock.monotonic)
