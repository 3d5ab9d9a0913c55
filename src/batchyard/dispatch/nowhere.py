"""The upstream of models that no route takes: it refuses them by name."""

from collections.abc import Sequence

from batchyard.dispatch.beside import model_of
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Outcome, Refused
from batchyard.domain.result import RequestError
from batchyard.ports import Call, Stream


class Nowhere:
    """Implements ``Upstream`` for models that no route takes."""

    async def attempt(self, call: Call) -> Outcome:
        return await _no_route(call)

    async def stream(self, call: Call) -> Stream | Outcome:
        return await _no_route(call)

    async def count(self, call: Call) -> int | Outcome:
        return await _no_route(call)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        return []

    async def close(self) -> None:
        """Nothing is held."""


async def _no_route(call: Call) -> Outcome:
    return Refused(RequestError("not_found_error", f"model: {await model_of(call.params)}"))
