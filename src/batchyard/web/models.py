"""The list of models: what can be named in params, as the lanes tell it."""

from collections.abc import Sequence

from batchyard import wire
from batchyard.domain.catalog import LIFECYCLES, ModelInfo, find
from batchyard.domain.errors import InvalidRequest, NotFound
from batchyard.domain.outcome import Outcome
from batchyard.ports import Calls
from batchyard.web.calls import Answer, ApiCall, page_limit
from batchyard.web.outcomes import failure

USUAL_LIFECYCLES = frozenset({"active", "deprecated"})


class Models:
    """``GET /v1/models`` and ``GET /v1/models/{id}``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def page(self, call: ApiCall) -> Answer:
        limit, wanted = page_limit(call), _lifecycles(call)
        models = await self._calls.models()
        if isinstance(models, Outcome):
            return failure(models, call.request_id)
        shown = [model for model in models if model.lifecycle in wanted]
        first, end = _place(shown, call, "after_id", 0, 1), _place(shown, call, "before_id", len(shown), 0)
        between = shown[first:end]
        backwards = call.query("before_id") and not call.query("after_id")
        page = between[-limit:] if backwards else between[:limit]
        return Answer(wire.models_json(page, has_more=len(page) < len(between)))

    async def retrieve(self, call: ApiCall, name: str) -> Answer:
        models = await self._calls.models()
        if isinstance(models, Outcome):
            return failure(models, call.request_id)
        model = find(models, name)
        if model is None:
            raise NotFound(f"model: {name[:256]}")
        return Answer(wire.model_json(model))


def _place(models: Sequence[ModelInfo], call: ApiCall, cursor: str, without: int, beyond: int) -> int:
    named = call.query(cursor)
    if not named:
        return without
    for place, model in enumerate(models):
        if model.id == named:
            return place + beyond
    raise InvalidRequest(f"{cursor}: there is no model {named[:256]!r} in this list")


def _lifecycles(call: ApiCall) -> frozenset[str]:
    named = frozenset(call.queries("lifecycle[]") + call.queries("lifecycle"))
    for each in named:
        if each not in LIFECYCLES:
            raise InvalidRequest(f"lifecycle: {each[:40]!r} is none of {', '.join(LIFECYCLES)}")
    return named or USUAL_LIFECYCLES
