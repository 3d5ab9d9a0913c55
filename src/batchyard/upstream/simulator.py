"""An upstream without a model: deterministic answers to build and test pipelines against.

    check params ──> read prompt and markers ──> compose ──> wait ──> Message

The same params give the same answer, in every process; only cache tokens and failures that a marker asks for a number
of times depend on what came before. It fetches nothing, and says in each answer that it is simulated.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import msgspec

from batchyard.domain.catalog import ModelInfo, simulated
from batchyard.domain.outcome import Answered, Failed, NotStarted, Outcome, Refused
from batchyard.domain.params import Params, check_count, check_params
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream
from batchyard.upstream.simulated_cache import SMALLEST_PREFIX, CacheUse, PromptCache, has_marks
from batchyard.upstream.simulated_dice import Dice
from batchyard.upstream.simulated_documents import read_attachments
from batchyard.upstream.simulated_markers import CannotSimulate
from batchyard.upstream.simulated_message import Input, compose, message
from batchyard.upstream.simulated_prompt import Prompt, read_prompt
from batchyard.upstream.simulated_stream import SimulatedStream
from batchyard.upstream.simulated_tokens import count_members

T = TypeVar("T")

LARGE_BYTES = 1024 * 1024
_MOST_REMEMBERED = 10_000
_NOT_STARTED = {"rate_limit_error": 1.0, "overloaded_error": None}
"""What the service says before it begins to work, and the seconds that it asks to wait."""
_FAILED = frozenset({"api_error", "timeout_error"})


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """``latency`` is seconds an answer takes, ``jitter`` the share of it by which it varies, ``tokens_per_second`` what
    more output adds (0: nothing), ``capacity`` the most in flight before a 429 (0: no limit); ``seed`` changes the
    words."""

    latency: float = 0.05
    jitter: float = 0.0
    tokens_per_second: float = 0.0
    capacity: int = 0
    seed: int = 0


class Simulator:
    """Implements ``Upstream``; ``now`` is monotonic seconds, for the prompt cache."""

    def __init__(self, settings: SimulatorSettings, *, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._in_flight = 0
        self._failed: dict[bytes, int] = {}
        self._cache = PromptCache(now)
        self._encoder = msgspec.json.Encoder()
        self._large = asyncio.Lock()

    async def attempt(self, call: Call) -> Outcome:
        """Answer the call as the settings and its markers say."""
        full = self._full()
        if full is not None:
            return full
        self._in_flight += 1
        try:
            return await self._answer(call)
        finally:
            self._in_flight -= 1

    async def stream(self, call: Call) -> Stream | Outcome:
        """Answer the call event by event: the first after the latency, the others as fast as tokens come."""
        full = self._full()
        if full is not None:
            return full
        self._in_flight += 1
        streaming = False
        try:
            told = await self._answer(call, streamed=True)
            streaming = not isinstance(told, Outcome)
            return told
        finally:
            if not streaming:
                self._in_flight -= 1

    async def count(self, call: Call) -> int | Outcome:
        """Return how many input tokens the body of a count is."""
        counted = self.count_tokens(call.params, call.version, call.betas)
        return Refused(counted) if isinstance(counted, RequestError) else counted

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the models that are known by name."""
        return simulated()

    async def close(self) -> None:
        """Nothing to let go of."""

    def count_tokens(self, raw: bytes, version: str, betas: tuple[str, ...]) -> int | RequestError:
        """Return how many input tokens the body of a count is, or why it is wrong."""
        judged = check_count(raw, version=version, betas=betas)
        if isinstance(judged, RequestError):
            return judged
        try:
            attached = {attachment.block: attachment.tokens for attachment in read_attachments(judged.members)}
            return count_members(judged.members, attached)
        except (CannotSimulate, RecursionError) as wrong:
            return _told(wrong)

    def _full(self) -> NotStarted | None:
        capacity = self._settings.capacity
        if not 0 < capacity <= self._in_flight:
            return None
        return NotStarted(RequestError("rate_limit_error", f"The simulator's capacity of {capacity} is used up"), 1.0)

    def _one_less(self) -> None:
        self._in_flight -= 1

    @overload
    async def _answer(self, call: Call) -> Outcome: ...
    @overload
    async def _answer(self, call: Call, *, streamed: bool) -> Stream | Outcome: ...
    async def _answer(self, call: Call, *, streamed: bool = False) -> Stream | Outcome:
        try:
            prompt = await self._beside(call, self._read, call)
            if isinstance(prompt, RequestError):
                await asyncio.sleep(0)
                return Refused(prompt)
            failure = self._wished_failure(prompt)
            if failure is None:
                return await self._answer_well(prompt, call, streamed=streamed)
        except (CannotSimulate, RecursionError) as wrong:
            await asyncio.sleep(0)
            return Refused(_told(wrong))
        await asyncio.sleep(self._seconds(prompt, 0))
        return failure

    async def _beside(self, call: Call, work: Callable[..., T], *given: object) -> T:
        """Do the work, beside the event loop where the call is large: one at a time, for it keeps the interpreter."""
        if len(call.params) < LARGE_BYTES:
            return work(*given)
        async with self._large:
            return await asyncio.to_thread(work, *given)

    def _read(self, call: Call) -> Prompt | RequestError:
        judged = check_params(call.params, version=call.version, betas=call.betas, batched=call.batched)
        if isinstance(judged, RequestError):
            return judged
        return read_prompt(judged, Dice(call.params, seed=self._settings.seed))

    async def _answer_well(self, prompt: Prompt, call: Call, *, streamed: bool) -> Stream | Answered:
        attachments = read_attachments(prompt.params.members)
        ended = await self._beside(call, compose, prompt, [attachment.told for attachment in attachments])
        given = self._given(prompt.params, {attachment.block: attachment.tokens for attachment in attachments})
        whole = message(prompt, ended, given, batched=call.batched)
        seconds = self._seconds(prompt, ended.output_tokens)
        first = self._seconds(prompt, 0)
        await asyncio.sleep(first if streamed else seconds)
        self._cache.store(given.cache)
        if streamed:
            return SimulatedStream(whole, seconds - first, self._one_less)
        cache = given.cache
        return Answered(
            self._encoder.encode(whole),
            given.tokens,
            ended.output_tokens,
            cache_read_tokens=cache.read,
            cache_write_tokens=cache.write_5m + cache.write_1h,
            cache_write_1h_tokens=cache.write_1h,
        )

    def _given(self, params: Params, attached: dict[int, int]) -> Input:
        tokens = count_members(params.members, attached)
        marked = tokens >= SMALLEST_PREFIX and has_marks(params.members)
        used = self._cache.look_up(params.members, params.model.id, attached) if marked else CacheUse()
        return Input(tokens, used)

    def _wished_failure(self, prompt: Prompt) -> Outcome | None:
        """Return how this attempt fails where a marker asks for it: for good, or the first times only."""
        kind = prompt.wishes.error
        if kind is None:
            return None
        error = RequestError(
            kind, "A marker in the request asked the simulator for this error.", prompt.dice.simulated_id("workerreq_")
        )
        if prompt.wishes.error_times is None:
            return Refused(error)
        failed = self._failed.pop(prompt.dice.digest, 0)
        if failed >= prompt.wishes.error_times:
            return None
        while len(self._failed) >= _MOST_REMEMBERED:
            self._failed.pop(next(iter(self._failed)))
        self._failed[prompt.dice.digest] = failed + 1
        if kind in _NOT_STARTED:
            return NotStarted(error, _NOT_STARTED[kind])
        return Failed(error) if kind in _FAILED else Refused(error)

    def _seconds(self, prompt: Prompt, output_tokens: int) -> float:
        settings = self._settings
        seconds = settings.latency if prompt.wishes.latency is None else prompt.wishes.latency
        if settings.jitter:
            seconds *= 1.0 + settings.jitter * (prompt.dice.roll(2001) - 1000) / 1000
        if settings.tokens_per_second:
            seconds += output_tokens / settings.tokens_per_second
        return max(seconds, 0.0)


def _told(wrong: CannotSimulate | RecursionError) -> RequestError:
    if isinstance(wrong, CannotSimulate):
        return RequestError(wrong.kind, str(wrong))
    return RequestError("invalid_request_error", "simulator: the request is nested too deeply")
