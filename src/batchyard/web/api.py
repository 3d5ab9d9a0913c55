"""The API as one ASGI application: routes, who may call, and what becomes of everything that goes wrong.

    path ──> host ──> key ──> method ──> version ──> handler ──> answer

Nothing about a batch is looked at before the key is known, and no byte of a body is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from batchyard.domain.errors import BatchyardError, NotFound, StoreUnavailable
from batchyard.domain.events import BugFound, Emit
from batchyard.ports import Batches, Blobs, Calls, Clock, Keys, Space, Upkeep
from batchyard.web import auth
from batchyard.web.batches import BatchCalls
from batchyard.web.calls import ApiCall, Refusal, Sendable, refusal, server_error, unavailable
from batchyard.web.creates import Creates
from batchyard.web.health import Health
from batchyard.web.hosts import Hosts
from batchyard.web.ledger import Ledgers
from batchyard.web.messages import Messages
from batchyard.web.models import Models
from batchyard.web.protocol import KNOWN_CALLER, ClientGone, Cut
from batchyard.web.results import Results
from batchyard.web.routes import Handler, Methods, Overlay, nothing_over
from batchyard.web.settings import WebSettings


def build_api(
    *,
    batches: Batches,
    upkeep: Upkeep,
    blobs: Blobs,
    calls: Calls,
    keys: Keys,
    clock: Clock,
    emit: Emit,
    settings: WebSettings,
    space: Space,
    not_ready: Callable[[], str] = lambda: "",
    metrics: Callable[[], bytes] | None = None,
    overlay: Overlay = nothing_over,
) -> ASGIApp:
    """Return the application.

    ``not_ready`` says why no batch can be taken now, or ""; ``space`` is where its body would lie; ``metrics`` renders
    them; ``overlay`` may put other methods in the place of a path's own.
    """
    hosts = Hosts(settings)
    return Api(
        keys,
        emit,
        hosts,
        Health(hosts, not_ready, metrics),
        BatchCalls(batches, blobs, clock, emit),
        Creates(
            batches=batches, blobs=blobs, clock=clock, emit=emit, settings=settings, not_ready=not_ready, space=space
        ),
        Results(batches, blobs, emit, settings),
        Ledgers(batches, upkeep, blobs, emit, settings),
        Messages(calls, settings.max_request_bytes),
        Models(calls),
        overlay,
    )


@dataclass(frozen=True, slots=True)
class Api:
    """The ASGI callable."""

    keys: Keys
    emit: Emit
    hosts: Hosts
    health: Health
    batches: BatchCalls
    creates: Creates
    results: Results
    ledgers: Ledgers
    messages: Messages
    models: Models
    overlay: Overlay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise Cut
        call = ApiCall(scope, receive, send)
        try:
            answer = await self._answer(call)
            await answer.send(call)
        except ClientGone:
            return
        except Cut:
            raise
        except Exception as bug:
            self.emit(BugFound(f"{call.method} {call.scope['path'][:200]}", bug))
            if call.answered:
                raise Cut from bug
            await server_error(call.request_id).send(call)

    async def _answer(self, call: ApiCall) -> Sendable:
        """Return the answer; what a caller can act on is one, what nobody expected is raised."""
        try:
            return await self._routed(call)
        except StoreUnavailable as error:
            return refusal(unavailable(error), call.request_id)
        except BatchyardError as error:
            return refusal(error, call.request_id)

    async def _routed(self, call: ApiCall) -> Sendable:
        segments = path_segments(call.scope)
        probe = self.health.route(segments)
        if probe is not None:
            return await _handler(probe, call)(call)
        methods = self.overlay(segments, self._methods(segments))
        call.base_url = self.hosts.base_url(call)
        if methods is None:
            raise NotFound("Not found: there is nothing at this path.")
        principal = await auth.authenticate(self.keys, call.headers)
        call.workspace, call.caller = principal.workspace, principal.caller
        call.scope.setdefault("state", {})[KNOWN_CALLER] = True
        handler = _handler(methods, call)
        call.version = auth.version(call.headers)
        return await handler(call)

    def _methods(self, segments: list[str]) -> Methods | None:
        """Return what can be done at the path."""
        match segments:
            case ["v1", "messages", "batches", *rest]:
                return self._batch_methods(rest)
            case ["batchyard", "v1", *rest]:
                return self._extensions(rest)
            case ["v1", "messages"]:
                return {"POST": self.messages.create}
            case ["v1", "messages", "count_tokens"]:
                return {"POST": self.messages.count}
            case ["v1", "models", *rest]:
                return self._model_methods(rest)
        return None

    def _model_methods(self, segments: list[str]) -> Methods | None:
        match segments:
            case []:
                return {"GET": self.models.page}
            case [name] if name:
                return {"GET": lambda call: self.models.retrieve(call, name)}
        return None

    def _extensions(self, segments: list[str]) -> Methods | None:
        """Paths of our own, beside the wire."""
        match segments:
            case ["batches", batch_id, "attempts"] if batch_id:
                return {"GET": lambda call: self.ledgers.attempts(call, batch_id)}
            case ["batches", batch_id, ("pause" | "resume") as verb] if batch_id:
                return {"POST": lambda call: self.batches.pause(call, batch_id, paused=verb == "pause")}
        return None

    def _batch_methods(self, segments: list[str]) -> Methods | None:
        match segments:
            case []:
                return {"GET": self.batches.page, "POST": self.creates.create}
            case [batch_id] if batch_id:
                return {
                    "GET": lambda call: self.batches.retrieve(call, batch_id),
                    "DELETE": lambda call: self.batches.delete(call, batch_id),
                }
            case [batch_id, "cancel"] if batch_id:
                return {"POST": lambda call: self.batches.cancel(call, batch_id)}
            case [batch_id, "results"] if batch_id:
                return {"GET": lambda call: self.results.results(call, batch_id)}
        return None


def path_segments(scope: Scope) -> list[str]:
    """Return the path's segments, split before they are decoded: an encoded slash is part of an id, not a border."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return [unquote(segment) for segment in raw.decode("latin-1").partition("?")[0].split("/")[1:]]


def _handler(methods: Methods, call: ApiCall) -> Handler:
    handler = methods.get("GET" if call.method == "HEAD" else call.method)
    if handler is None:
        allowed = ", ".join(sorted(methods | ({"HEAD": methods["GET"]} if "GET" in methods else {})))
        raise Refusal(405, f"Method {call.method} is not allowed here, use {allowed}.", [("allow", allowed)])
    return handler
