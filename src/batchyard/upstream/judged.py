"""An upstream whose params are judged before it is asked: what cannot succeed is refused here, at no cost."""

from collections.abc import Callable, Sequence

from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream, Upstream


class JudgedUpstream:
    """Implements ``Upstream``: ``judge`` returns why a call is refused, or None; only calls of batches are judged."""

    def __init__(self, inner: Upstream, judge: Callable[[Call], RequestError | None]) -> None:
        self._inner, self._judge = inner, judge

    async def attempt(self, call: Call) -> Outcome:
        """Refuse the call, or pass it on as it is."""
        if call.batched and (wrong := self._judge(call)) is not None:
            return Refused(wrong)
        return await self._inner.attempt(call)

    async def stream(self, call: Call) -> Stream | Outcome:
        """Pass the call on: no batch streams."""
        return await self._inner.stream(call)

    async def count(self, call: Call) -> int | Outcome:
        """Pass the question on."""
        return await self._inner.count(call)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Pass the question on."""
        return await self._inner.models()

    async def close(self) -> None:
        """Close what is behind."""
        await self._inner.close()
