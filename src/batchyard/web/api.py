"""The API as one ASGI application: routes, who may call, and what becomes of everything that goes wrong.

    path ──> host ──> key ──> method ──> scope ──> rate ──> version ──> handler ──> answer

Nothing about a batch is looked at before the key is known, and no byte of a body is read.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import quote, unquote

from starlette import types as asgi
from starlette.types import ASGIApp, Receive, Send

from batchyard.domain.access import Scope
from batchyard.domain.errors import BatchyardError, NotFound, StoreDamaged, StoreUnavailable
from batchyard.domain.events import BugFound, DamageFound, Emit
from batchyard.domain.forecast import Wait
from batchyard.ports import (
    Batches,
    Blobs,
    Calls,
    Clock,
    Keys,
    LaneDesk,
    LaneHistory,
    Prices,
    Space,
    Upkeep,
    Views,
    Webhooks,
    Work,
)
from batchyard.ports.prices import Spending
from batchyard.web import auth, beside, openapi
from batchyard.web.about import about
from batchyard.web.batches import BatchCalls
from batchyard.web.bodies import Budget
from batchyard.web.calls import ApiCall, DamagedStore, Refusal, Sendable, refusal, server_error, unavailable
from batchyard.web.creates import Creates
from batchyard.web.dashboard import site
from batchyard.web.dashboard.desk import Dashboard
from batchyard.web.dashboard.files import Files
from batchyard.web.dashboard.sessions import SECRET_BYTES
from batchyard.web.folder import FolderCalls, OwnFolder
from batchyard.web.health import Health
from batchyard.web.hosts import Hosts
from batchyard.web.lanes import routes as lane_routes
from batchyard.web.ledger import Ledgers
from batchyard.web.limits import CallLimits
from batchyard.web.messages import Messages
from batchyard.web.models import Models
from batchyard.web.protocol import KNOWN_CALLER, ClientGone, Cut
from batchyard.web.results import Results
from batchyard.web.room import Means
from batchyard.web.routes import Overlay, Route, Routes, nothing_over
from batchyard.web.settings import WebSettings
from batchyard.web.told import told
from batchyard.web.webhooks import NoWebhooks, WebhookCalls

T = TypeVar("T")


def build_api(
    *,
    batches: Batches,
    upkeep: Upkeep,
    work: Work,
    blobs: Blobs,
    calls: Calls,
    lanes: LaneDesk,
    lane_history: LaneHistory,
    views: Views,
    prices: Prices,
    spending: Spending | None = None,
    keys: Keys,
    clock: Clock,
    emit: Emit,
    settings: WebSettings,
    space: Space,
    not_ready: Callable[[], str] = lambda: "",
    metrics: Callable[[], Awaitable[bytes]] | None = None,
    overlay: Overlay = nothing_over,
    folder: OwnFolder | None = None,
    secret: bytes | None = None,
    webhooks: Webhooks | None = None,
    waits: Callable[[str], Wait | None] = lambda _model: None,
) -> ASGIApp:
    """Return the application.

    ``not_ready`` says why no batch can be taken now, or ""; ``space`` is where its body would lie; ``metrics`` renders
    them; ``overlay`` may put other methods in the place of a path's own; ``folder`` is the data folder; ``waits`` says
    why a model's requests are not sent now. ``secret`` seals the sessions of pages, which end with the process else.
    """
    hosts, means, limits = Hosts(settings), Means(not_ready, space, Budget(), spending), CallLimits.of(settings, clock)
    creates = Creates(batches=batches, blobs=blobs, clock=clock, emit=emit, settings=settings, means=means)
    seen = beside.Sources(batches, work, upkeep, views, prices, blobs, clock, emit, settings, creates, waits)
    handlers, own = Handlers.over(seen, calls, means, webhooks or NoWebhooks()), FolderCalls(hosts, folder)
    table = [*routes(handlers), *beside.routes(seen), *lane_routes(lanes)]
    health = Health(hosts, keys, not_ready, metrics, partial(openapi.encoded, table, owned=folder is not None))
    threshold = site.Threshold(keys, hosts, limits, secret or secrets.token_bytes(SECRET_BYTES))
    pages = site.build(seen, threshold, lanes, lane_history, handlers.shared)
    return Api(keys, emit, hosts, health, own, Routes(table), limits, overlay, pages, clock)


@dataclass(frozen=True, slots=True)
class Handlers:
    """Who answers."""

    batches: BatchCalls
    creates: Creates
    results: Results
    ledgers: Ledgers
    messages: Messages
    models: Models
    webhooks: WebhookCalls

    @property
    def shared(self) -> site.Shared:
        """What pages use too."""
        return site.Shared(self.batches, Files(self.results, self.ledgers), self.webhooks.all)

    @classmethod
    def over(cls, of: beside.Sources, calls: Calls, means: Means, webhooks: Webhooks) -> "Handlers":
        """Return those that work on these."""
        return cls(
            BatchCalls(of.batches, of.blobs, of.clock, of.emit),
            of.creates,
            Results(of.batches, of.blobs, of.emit, of.settings),
            Ledgers(of.batches, of.upkeep, of.blobs, of.emit, of.settings),
            Messages(calls, of.settings.max_request_bytes, means.budget),
            Models(calls),
            WebhookCalls(webhooks),
        )


def routes(to: Handlers) -> list[Route]:
    """Return every route that takes a key. The wire's come first, then ours beside it."""
    batches, one = "/v1/messages/batches", "/v1/messages/batches/{batch_id}"
    ours = "/batchyard/v1/batches/{batch_id}"
    return [
        Route("POST", batches, Scope.SUBMIT, to.creates.create),
        Route("GET", batches, Scope.READ, to.batches.page),
        Route("GET", one, Scope.READ, to.batches.retrieve),
        Route("DELETE", one, Scope.DELETE, to.batches.delete),
        Route("POST", f"{one}/cancel", Scope.CANCEL, to.batches.cancel),
        Route("GET", f"{one}/results", Scope.READ, to.results.results),
        Route("POST", "/v1/messages", Scope.SUBMIT, to.messages.create),
        Route("POST", "/v1/messages/count_tokens", Scope.SUBMIT, to.messages.count),
        Route("GET", "/v1/models", Scope.READ, to.models.page),
        Route("GET", "/v1/models/{model}", Scope.READ, to.models.retrieve),
        Route("GET", "/batchyard/v1/server", Scope.READ, about),
        Route("GET", f"{ours}/attempts", Scope.READ, to.ledgers.attempts),
        Route("POST", f"{ours}/pause", Scope.CANCEL, to.batches.pause, {"paused": True}),
        Route("POST", f"{ours}/resume", Scope.CANCEL, to.batches.pause, {"paused": False}),
        Route("GET", "/batchyard/v1/webhooks", Scope.ADMIN, to.webhooks.listing),
        Route("GET", "/batchyard/v1/webhooks/{webhook}/deliveries", Scope.ADMIN, to.webhooks.deliveries),
        Route("POST", "/batchyard/v1/webhooks/{webhook}/test", Scope.ADMIN, to.webhooks.test),
    ]


@dataclass(frozen=True, slots=True)
class Api:
    """The ASGI callable."""

    keys: Keys
    emit: Emit
    hosts: Hosts
    health: Health
    folder: FolderCalls
    routes: Routes
    limits: CallLimits
    overlay: Overlay
    pages: Dashboard
    clock: Clock

    async def __call__(self, scope: asgi.Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise Cut
        call = ApiCall(scope, receive, send)
        began = ready = self.clock.monotonic()
        try:
            answer = await self._answer(call)
            ready = self.clock.monotonic()
            await answer.send(call)
        except ClientGone:
            return
        except Cut:
            raise
        except Exception as bug:
            self.emit(BugFound(f"{call.method} {call.scope['path'][:200]}", bug, call.request_id))
            if call.answered:
                raise Cut from bug
            await server_error(call.request_id).send(call)
        finally:
            self.limits.leave(call)
            self.emit(told(call, ready - began))

    async def _answer(self, call: ApiCall) -> Sendable:
        """Return the answer; what a caller can act on is one, what nobody expected is raised."""
        try:
            return await self._routed(call)
        except StoreDamaged as damage:
            self.emit(DamageFound("database", str(damage)))
            return refusal(DamagedStore(), call.request_id)
        except StoreUnavailable as error:
            return refusal(unavailable(error), call.request_id)
        except BatchyardError as error:
            return refusal(error, call.request_id)

    async def _routed(self, call: ApiCall) -> Sendable:
        segments = path_segments(call.scope)
        page = self.pages.finds(call, segments)
        if page is not None:
            call.route = call.route or f"/{segments[0]}"
            return await page(call)
        probe = self.health.route(segments) or self.folder.route(segments)
        if probe is not None:
            call.route = "/".join(["", *segments])
            return await _of_method(probe, call)(call)
        methods = self.overlay(segments, self.routes.methods(segments))
        call.base_url = self.hosts.base_url(call)
        if methods is None:
            raise NotFound("Not found: there is nothing at this path.")
        principal = await auth.authenticate(self.keys, call.headers)
        call.workspace, call.caller = principal.workspace, principal.caller
        call.scope.setdefault("state", {})[KNOWN_CALLER] = True
        self.limits.enter(call)
        endpoint = _of_method(methods, call)
        call.route = endpoint.path
        auth.authorize(principal, endpoint.scope, *endpoint.also)
        if endpoint.counted:
            self.limits.admit(call)
        call.version = auth.version(call.headers)
        return await endpoint.answer(call)


def path_segments(scope: asgi.Scope) -> list[str]:
    """Return the path's segments, split before they are decoded: an encoded slash is part of an id, not a border."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return [unquote(segment) for segment in raw.decode("latin-1").partition("?")[0].split("/")[1:]]


def _of_method(methods: Mapping[str, T], call: ApiCall) -> T:
    found = methods.get("GET" if call.method == "HEAD" else call.method)
    if found is None:
        allowed = ", ".join(sorted({*methods, *(("HEAD",) if "GET" in methods else ())}))
        raise Refusal(405, f"Method {call.method} is not allowed here, use {allowed}.", [("allow", allowed)])
    return found
