"""What operators and their machines ask: does it live, can it take batches, its metrics, what can be called."""

from collections.abc import Awaitable, Callable

import msgspec

from batchyard.domain.access import Scope
from batchyard.domain.errors import NotFound
from batchyard.ports import Keys
from batchyard.web import auth
from batchyard.web.calls import Answer, ApiCall, Sendable
from batchyard.web.hosts import Hosts

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """``/healthz``, ``/readyz``, ``/metrics`` and ``/openapi.json``.

    Probes come under any host name, without a key; the document without a key. Metrics are open on this machine;
    elsewhere they take a key with the scope admin.
    """

    def __init__(
        self,
        hosts: Hosts,
        keys: Keys,
        not_ready: Callable[[], str],
        metrics: Callable[[], Awaitable[bytes]] | None,
        document: Callable[[], bytes],
    ) -> None:
        self._hosts = hosts
        self._keys = keys
        self._not_ready = not_ready
        self._metrics = metrics
        self._document = document

    def route(self, segments: list[str]) -> dict[str, Callable[[ApiCall], Awaitable[Sendable]]] | None:
        """Return what can be done at the path, or None where it is none of ours."""
        match segments:
            case ["healthz"]:
                return {"GET": self._live}
            case ["readyz"]:
                return {"GET": self._ready}
            case ["metrics"]:
                return {"GET": self._render}
            case ["openapi.json"]:
                return {"GET": self._describe}
        return None

    async def _live(self, _: ApiCall) -> Answer:
        return Answer(b'{"status":"ok"}')

    async def _ready(self, _: ApiCall) -> Answer:
        reason = self._not_ready()
        if reason:
            return Answer(msgspec.json.encode({"status": "not ready", "reason": reason}), 503)
        return Answer(b'{"status":"ready"}')

    async def _render(self, call: ApiCall) -> Answer:
        self._hosts.base_url(call)  # refuses a foreign name: a browser page could read them through one
        if self._metrics is None:
            raise NotFound("Not found: there is nothing at this path.")
        if not self._hosts.is_local(call):
            auth.authorize(await auth.authenticate(self._keys, call.headers), Scope.ADMIN)
        return Answer(await self._metrics(), media_type=PROMETHEUS)

    async def _describe(self, call: ApiCall) -> Answer:
        self._hosts.base_url(call)  # refuses a foreign name, as everything else does
        return Answer(self._document())
