"""Downloads: the API's own files, under names that say what they are."""

from collections.abc import Awaitable
from dataclasses import dataclass

from batchyard.web.calls import ApiCall, Sendable
from batchyard.web.dashboard.pages import Visit
from batchyard.web.ledger import Ledgers
from batchyard.web.results import Results


@dataclass(frozen=True, slots=True)
class Saved:
    """An answer that a browser saves and never shows."""

    answer: Sendable
    name: str

    async def send(self, call: ApiCall) -> None:
        call.always += [
            ("content-disposition", f'attachment; filename="{self.name}"'),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cross-origin-resource-policy", "same-origin"),
        ]
        await self.answer.send(call)


class Files:
    """``/batches/{id}/results.jsonl`` and ``attempts.jsonl``."""

    def __init__(self, results: Results, ledgers: Ledgers) -> None:
        self._results, self._ledgers = results, ledgers

    async def results(self, visit: Visit, batch_id: str) -> Sendable:
        return await _saved(self._results.results(visit, batch_id), f"{batch_id}-results.jsonl")

    async def attempts(self, visit: Visit, batch_id: str) -> Sendable:
        return await _saved(self._ledgers.attempts(visit, batch_id), f"{batch_id}-attempts.jsonl")


async def _saved(answer: Awaitable[Sendable], name: str) -> Saved:
    return Saved(await answer, name)  # the id was judged on the way, so the name is plain
