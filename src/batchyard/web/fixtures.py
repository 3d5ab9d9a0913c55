"""The fixtures that the official SDKs' own tests expect of a server. Off by default; every other id keeps its rules.

Those tests retrieve, cancel and delete one batch, ``message_batch_id``, in any order and as often as they like; they
list with cursors that are no ids, name a workspace from the documentation, and send a key that nobody made.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from batchyard import wire
from batchyard.domain.access import USUAL, Scope
from batchyard.domain.batch import Batch, Counts, Status
from batchyard.domain.result import Succeeded
from batchyard.ports import Clock, Keys, Principal
from batchyard.web.calls import Answer, ApiCall, Sendable
from batchyard.web.routes import Endpoint, Handler, Methods

BATCH_ID = "message_batch_id"
WORKSPACE = "wrkspc_011CZkZaBF1tNoB5wlCeusgy"
"""What the tests name in ``anthropic-workspace-id``, and so the workspace of a key that nobody made."""
_CURSORS = frozenset({("after_id", "after_id"), ("before_id", "before_id")})
_MESSAGE = (
    b'{"id":"msg_013Zva2CMHLNnXjNJJKqJ2EF","type":"message","role":"assistant","model":"claude-opus-5-5",'
    b'"content":[{"type":"text","text":"Hello!","citations":null}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"stop_details":null,"container":null,"diagnostics":null,"usage":{"input_tokens":10,"output_tokens":3,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"server_tool_use":null,'
    b'"service_tier":"batch","inference_geo":null,"output_tokens_details":null,"speed":null}}'
)


class FixtureKeys:
    """A ``Keys`` that takes a key nobody made as one of the fixtures' own workspace, apart from all others."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def principal(self, key: str) -> Principal | None:
        known = await self._keys.principal(key)
        if known is None and key:
            return Principal(WORKSPACE, sha256(key.encode()).hexdigest(), USUAL)
        return known


class Fixtures:
    """One batch that has ended and stays, whatever is done to it."""

    def __init__(self, clock: Clock) -> None:
        now = clock.now()
        self._batch = Batch(
            id=BATCH_ID,
            workspace=WORKSPACE,
            status=Status.ENDED,
            counts=Counts(succeeded=1),
            created_at=now,
            expires_at=now + timedelta(hours=24),
            version="2026-10-21",
            betas=(),
            body="",
            ended_at=now,
        )

    def methods(self, segments: list[str], usual: Methods | None) -> Methods | None:
        """Return what can be done at the path: ``usual``, unless a fixture is there."""
        match segments:
            case ["v1", "messages", "batches"] if usual:
                return {**usual, "GET": Endpoint(Scope.READ, _Page(usual["GET"].answer))}
            case ["v1", "messages", "batches", id_] if id_ == BATCH_ID:
                return {
                    "GET": Endpoint(Scope.READ, self._retrieve),
                    "DELETE": Endpoint(Scope.DELETE, self._delete),
                }
            case ["v1", "messages", "batches", id_, "cancel"] if id_ == BATCH_ID:
                return {"POST": Endpoint(Scope.CANCEL, self._cancel)}
            case ["v1", "messages", "batches", id_, "results"] if id_ == BATCH_ID:
                return {"GET": Endpoint(Scope.READ, self._results)}
        return usual

    async def _retrieve(self, call: ApiCall) -> Answer:
        return Answer(wire.batch_json(self._batch, call.base_url))

    async def _cancel(self, call: ApiCall) -> Answer:
        open_again = replace(self._batch, status=Status.IN_PROGRESS, counts=Counts(processing=1), ended_at=None)
        return Answer(wire.batch_json(open_again.begin_cancel(self._batch.created_at), call.base_url))

    async def _delete(self, _: ApiCall) -> Answer:
        return Answer(wire.deleted_json(BATCH_ID))

    async def _results(self, _: ApiCall) -> Answer:
        return Answer(wire.result_line("my-custom-id-1", Succeeded(_MESSAGE)), media_type=wire.JSONL)


@dataclass(frozen=True, slots=True)
class _Page:
    """Lists as usual once the two cursors of the tests, which are no ids, are taken out of the query."""

    usual: Handler

    async def __call__(self, call: ApiCall) -> Sendable:
        pairs = parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        kept = [pair for pair in pairs if pair not in _CURSORS]
        call.scope = {**call.scope, "query_string": urlencode(kept).encode("ascii")}
        return await self.usual(call)
