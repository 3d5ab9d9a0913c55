"""What the forms of a batch's page do: the same as the API's calls, then the page again."""

from batchyard.domain.errors import InvalidRequest
from batchyard.ports import Batches, Views
from batchyard.web.batches import BatchCalls, known_form
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Visit, seen_other
from batchyard.web.reruns import Reruns


class Actions:
    """``POST /batches/{id}/…``."""

    def __init__(self, batches: Batches, calls: BatchCalls, reruns: Reruns, views: Views) -> None:
        self._batches, self._calls, self._reruns, self._views = batches, calls, reruns, views

    async def cancel(self, visit: Visit, batch_id: str) -> Answer:
        await self._calls.cancel(visit, batch_id)
        return seen_other(visit, f"/batches/{batch_id}?done=canceled")

    async def delete(self, visit: Visit, batch_id: str) -> Answer:
        await self._calls.delete(visit, batch_id)
        return seen_other(visit, "/")

    async def pause(self, visit: Visit, batch_id: str, *, paused: bool) -> Answer:
        await self._calls.pause(visit, batch_id, paused=paused)
        return seen_other(visit, f"/batches/{batch_id}?done={'paused' if paused else 'resumed'}")

    async def rerun(self, visit: Visit, batch_id: str) -> Answer:
        batch = await self._reruns.make(visit, batch_id)
        return seen_other(visit, f"/batches/{batch.id}?done=rerun")

    async def label(self, visit: Visit, batch_id: str) -> Answer:
        """Name it, and give it exactly the labels of the form: those that are missing there go."""
        batch = await self._batches.get(visit.workspace, known_form(batch_id))
        wanted = _pairs(visit.form.get("labels", ""))
        gone: dict[str, str | None] = {key: None for key, _ in batch.labels.pairs if key not in wanted}
        await self._views.label(visit.workspace, batch.id, visit.form.get("name", "").strip(), {**gone, **wanted})
        return seen_other(visit, f"/batches/{batch_id}?done=labeled")


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for line in text.replace("\r", "\n").split("\n"):
        key, equals, value = line.partition("=")
        if line.strip() and not equals:
            raise InvalidRequest(f"labels: write key=value, one on each line; {line.strip()[:80]!r} has no `=`.")
        if line.strip():
            pairs[key.strip()] = value.strip()
    return pairs
