"""What people look at beside the wire, below ``/batchyard/v1``: which path leads where, and which scope it takes."""

from collections.abc import Callable
from dataclasses import dataclass

from batchyard.domain.access import Scope
from batchyard.domain.events import Emit
from batchyard.domain.forecast import Wait
from batchyard.ports import Batches, Blobs, Clock, Prices, Upkeep, Views, Work
from batchyard.web.creates import Creates
from batchyard.web.details import Details
from batchyard.web.follow import Follows
from batchyard.web.owners import Owners
from batchyard.web.reruns import Reruns
from batchyard.web.routes import Route
from batchyard.web.sealed import SealedFiles
from batchyard.web.settings import WebSettings
from batchyard.web.throughput import Throughputs
from batchyard.web.usage import Usages


@dataclass(frozen=True, slots=True)
class Sources:
    """What these handlers draw on."""

    batches: Batches
    work: Work
    upkeep: Upkeep
    views: Views
    prices: Prices
    blobs: Blobs
    clock: Clock
    emit: Emit
    settings: WebSettings
    creates: Creates
    waits: Callable[[str], Wait | None]
    """Why requests of a model are not sent now."""


def routes(of: Sources) -> list[Route]:
    """Return the routes of these paths. What all workspaces used is the operator's to see."""
    files = SealedFiles(of.batches, of.blobs, of.emit)
    usages = Usages(of.views, of.prices, of.clock)
    throughputs = Throughputs(of.views, of.clock)
    details = Details(of.batches, of.work, of.views, of.prices, of.clock, waits=of.waits)
    follows = Follows(of.batches, of.views, files, of.clock, of.settings)
    reruns = Reruns(of.batches, of.blobs, files, of.creates)
    owners = Owners(of.upkeep, of.clock)
    batches, one = "/batchyard/v1/batches", "/batchyard/v1/batches/{batch_id}"
    return [
        Route("GET", batches, Scope.READ, details.page),
        Route("GET", one, Scope.READ, details.one),
        Route("POST", f"{one}/labels", Scope.SUBMIT, details.label),
        Route("GET", f"{one}/results", Scope.READ, follows.results),
        Route("POST", f"{one}/rerun", Scope.SUBMIT, reruns.rerun),
        Route("GET", "/batchyard/v1/owners", Scope.ADMIN, owners.owners),
        Route("GET", "/batchyard/v1/throughput", Scope.READ, throughputs.series),
        Route("GET", "/batchyard/v1/throughput/all", Scope.ADMIN, throughputs.series, {"everybody": True}),
        Route("GET", "/batchyard/v1/usage", Scope.READ, usages.usage),
        Route("GET", "/batchyard/v1/usage/all", Scope.ADMIN, usages.usage, {"everybody": True}),
    ]
