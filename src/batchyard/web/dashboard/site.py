"""The pages together: which path shows what, and which scope it takes."""

from dataclasses import dataclass

from batchyard.domain.access import Scope
from batchyard.ports import Keys, LaneDesk, LaneHistory, Webhooks
from batchyard.web.batches import BatchCalls
from batchyard.web.beside import Sources
from batchyard.web.dashboard.actions import Actions
from batchyard.web.dashboard.assets import Assets
from batchyard.web.dashboard.batch import BatchPage
from batchyard.web.dashboard.batches import Glances, ListPage
from batchyard.web.dashboard.desk import Dashboard
from batchyard.web.dashboard.engine import EnginePage
from batchyard.web.dashboard.files import Files
from batchyard.web.dashboard.lanes import LanePages
from batchyard.web.dashboard.pages import Pages
from batchyard.web.dashboard.problems import ProblemBook
from batchyard.web.dashboard.reading import RequestPages
from batchyard.web.dashboard.requests import Requests
from batchyard.web.dashboard.sessions import Sessions
from batchyard.web.dashboard.throughput import ThroughputPage
from batchyard.web.dashboard.usage import UsagePage
from batchyard.web.dashboard.webhooks import WebhookPages
from batchyard.web.details import Details
from batchyard.web.hosts import Hosts
from batchyard.web.limits import CallLimits
from batchyard.web.reruns import Reruns
from batchyard.web.roles import pages_of
from batchyard.web.routes import Route, Routes
from batchyard.web.sealed import SealedFiles


@dataclass(frozen=True, slots=True)
class Threshold:
    """Who comes in, under which name, how often, and what seals their sessions."""

    keys: Keys
    hosts: Hosts
    limits: CallLimits
    secret: bytes


@dataclass(frozen=True, slots=True)
class Shared:
    """What forms and downloads share with the API's own paths."""

    calls: BatchCalls
    files: Files
    webhooks: Webhooks


def build(of: Sources, at: Threshold, lanes: LaneDesk, history: LaneHistory, to: Shared) -> Dashboard:
    """Return the dashboard; what its forms and downloads do, the API's own handlers do."""
    assets = Assets()
    pages = Pages(assets)
    hooks, lane_pages = WebhookPages(to.webhooks, of.clock, pages), LanePages(history, of.clock, pages)
    every = [*routes(of, lanes, pages, to.calls, to.files), *hook_routes(hooks), *lane_routes(lane_pages)]
    return Dashboard(
        keys=at.keys,
        hosts=at.hosts,
        sessions=Sessions(at.secret, of.clock),
        limits=at.limits,
        emit=of.emit,
        pages=pages,
        assets=assets,
        routes=Routes(pages_of(of.settings.role, every)),
    )


def routes(of: Sources, lanes: LaneDesk, pages: Pages, calls: BatchCalls, files: Files) -> list[Route]:
    """Return every page and form behind the sign-in."""
    details = Details(of.batches, of.work, of.views, of.prices, of.clock, waits=of.waits)
    glances = Glances(details, of.clock)
    sealed = SealedFiles(of.batches, of.blobs, of.emit)
    everything = ListPage(of.batches, of.views, glances, of.clock, pages)
    batch = BatchPage(of.batches, of.views, of.prices, glances, pages, kept=of.settings.retain_results_for)
    actions = Actions(of.batches, calls, Reruns(of.batches, of.blobs, sealed, of.creates), of.views)
    requests = Requests(of.batches, of.views, sealed, of.blobs)
    reading = RequestPages(of.batches, requests, ProblemBook(of.views, sealed), pages)
    throughput = ThroughputPage(of.views, of.clock, pages)
    engine = EnginePage(lanes, of.upkeep, of.clock, pages, role=of.settings.role)
    usage = UsagePage(of.views, of.prices, of.clock, pages)
    one = "/batches/{batch_id}"
    return [
        Route("GET", "/", Scope.READ, everything.show),
        Route("GET", one, Scope.READ, batch.show),
        Route("GET", f"{one}/requests", Scope.READ, reading.list),
        Route("GET", f"{one}/problems", Scope.READ, reading.problems),
        Route("GET", f"{one}/request", Scope.READ, reading.one),
        Route("GET", f"{one}/request/picture", Scope.READ, reading.picture),
        Route("GET", f"{one}/request/params.json", Scope.READ, reading.params),
        Route("GET", f"{one}/request/result.json", Scope.READ, reading.result),
        Route("GET", "/throughput", Scope.READ, throughput.show),
        Route("GET", "/throughput.json", Scope.READ, throughput.points),
        Route("GET", "/engine", Scope.ADMIN, engine.show),
        Route("POST", "/engine/pause", Scope.ADMIN, engine.pause, {"paused": True}),
        Route("POST", "/engine/resume", Scope.ADMIN, engine.pause, {"paused": False}),
        Route("GET", "/usage", Scope.READ, usage.show),
        Route("GET", "/usage.csv", Scope.READ, usage.csv),
        Route("GET", f"{one}/results.jsonl", Scope.READ, files.results),
        Route("GET", f"{one}/attempts.jsonl", Scope.READ, files.attempts),
        Route("POST", f"{one}/cancel", Scope.CANCEL, actions.cancel),
        Route("POST", f"{one}/pause", Scope.CANCEL, actions.pause, {"paused": True}),
        Route("POST", f"{one}/resume", Scope.CANCEL, actions.pause, {"paused": False}),
        Route("POST", f"{one}/delete", Scope.DELETE, actions.delete),
        Route("POST", f"{one}/rerun", Scope.SUBMIT, actions.rerun),
        Route("POST", f"{one}/labels", Scope.SUBMIT, actions.label),
    ]


def hook_routes(to: WebhookPages) -> list[Route]:
    """Return the pages of webhooks; the operator's key may be one that opens no batch."""
    return [
        Route("GET", "/webhooks", Scope.READ, to.show, also=(Scope.ADMIN,)),
        Route("GET", "/webhooks/log", Scope.READ, to.log, also=(Scope.ADMIN,)),
        Route("POST", "/webhooks/test", Scope.ADMIN, to.test),
    ]


def lane_routes(to: LanePages) -> list[Route]:
    """Return the pages of what lanes did, which is of all workspaces together."""
    return [
        Route("GET", "/engine/history", Scope.ADMIN, to.show),
        Route("GET", "/engine/history.json", Scope.ADMIN, to.points),
    ]
