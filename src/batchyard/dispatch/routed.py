"""The calls that somebody waits for, each to a lane of the model that it names."""

from collections.abc import Sequence

from batchyard.dispatch.beside import beside, model_of
from batchyard.dispatch.lanes import Lane, Lanes
from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Outcome
from batchyard.ports import Call, Stream


class RoutedCalls:
    """Implements ``Calls`` over all lanes."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    @property
    def running(self) -> int:
        """Calls in flight."""
        return self._lanes.calls

    async def attempt(self, call: Call) -> Outcome:
        lane, asked = await self._way(call)
        return await lane.calls.attempt(asked)

    async def stream(self, call: Call) -> Stream | Outcome:
        lane, asked = await self._way(call)
        return await lane.calls.stream(asked)

    async def count(self, call: Call) -> int | Outcome:
        lane, asked = await self._way(call)
        return await lane.calls.count(asked)

    async def _way(self, call: Call) -> tuple[Lane, Call]:
        """Return the lane of the call, and what is asked there."""
        model = await model_of(call.params)
        lane = self._lanes.for_call(model)
        return lane, await beside(len(call.params), lane.asks, call, model)

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the models of all upstreams, newest first; those that cannot say are left out while one can."""
        if len(self._lanes.upstreams) == 1:
            return await self._lanes.upstreams[0].models()
        known: dict[str, ModelInfo] = {}
        failed: Outcome | None = None
        for upstream in self._lanes.upstreams:
            listed = await upstream.models()
            if isinstance(listed, Outcome):
                failed = failed or listed
            else:
                known |= {model.id: model for model in listed if model.id not in known}
        if failed is not None and not known:
            return failed
        return sorted(known.values(), key=lambda model: model.created_at, reverse=True)
