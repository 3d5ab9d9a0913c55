"""The line of calls inside a model server that tells of it, and how many of ours may be there.

waiting > target ──> as many fewer of ours as are too many
waiting < target, ours are all there ──> some more
nobody can read it ──> no bound; latency and refusals teach the lanes as ever

By Little's law a call in line adds to everybody's wait and to nobody's throughput. So a short line is kept, for the
engine to take from between two looks, and the rest waits here, where interactive callers pass it by.
"""

import math
import re
from dataclasses import dataclass

_WAITING = rb"vllm:num_requests_waiting|sglang:num_queue_reqs|llamacpp:requests_deferred"
_RUNNING = rb"vllm:num_requests_running|sglang:num_running_reqs|llamacpp:requests_processing"
_SERIES = re.compile(
    rb"^(?:(?P<waiting>" + _WAITING + rb")|" + _RUNNING + rb")(?:\{[^\n]*\})?[ \t]+(?P<value>[0-9][0-9.eE+]{0,30})\b",
    re.M,
)
"""Gauges of vLLM (docs.vllm.ai, Production Metrics), SGLang (docs.sglang.io, Production Metrics; ``--enable-metrics``)
and llama.cpp's server (tools/server/README.md; ``--metrics``)."""
MOST = 1e9
LONGEST_STEP = 0.25
"""Share by which ours may grow at a look. The first step fills the line; while it stays empty, steps double."""
STALE = 10.0
"""Seconds after which what was read means nothing any more."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Calls in line and calls at work in a model server, whoever sent them."""

    waiting: int
    running: int


def read_load(text: bytes) -> EngineLoad | None:
    """Return what Prometheus text tells of the line, summed over engines; None where it tells nothing."""
    waiting: int | None = None
    running = 0
    for series in _SERIES.finditer(text):
        try:
            value = float(series["value"])
        except ValueError:
            continue
        if not 0.0 <= value <= MOST:
            continue
        if series["waiting"]:
            waiting = (waiting or 0) + int(value)
        else:
            running += int(value)
    return None if waiting is None else EngineLoad(waiting, running)


class EngineLine:
    """How many calls of ours may be at one model server: ``cap``, None where nothing bounds them."""

    def __init__(self, target: int) -> None:
        assert target >= 0
        self.target = target
        self.cap: int | None = None
        self.load: EngineLoad | None = None
        self._read_at = -math.inf
        self._step = 1

    def read(self, load: EngineLoad | None, ours: int, share: float, now: float) -> None:
        """Learn from a look, while so many calls of ours were there. ``share``: our part of all that we send, of 1."""
        if now - self._read_at > STALE:
            self.cap = self.load = None
        if load is None:
            return
        self.load, self._read_at = load, now
        too_many = load.waiting - self.target
        if too_many >= 0 or load.waiting:
            self._step = 1
        if too_many > 0 and ours > 0:
            self.cap = max(1, ours - math.ceil(too_many * share))
        elif too_many < 0 and self.cap is not None and ours >= self.cap:
            self.cap += max(-too_many, min(self._step, math.ceil(LONGEST_STEP * self.cap)))
            self._step *= 2
