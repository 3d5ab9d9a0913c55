"""What people look at beside the wire, below ``/batchyard/v1``: which path leads where, and which scope it takes."""

from batchyard.domain.access import Scope
from batchyard.web.details import Details
from batchyard.web.routes import Route
from batchyard.web.usage import Usages


def routes(usages: Usages, details: Details) -> list[Route]:
    """Return the routes of these paths. What all workspaces used is the operator's to see."""
    batches = "/batchyard/v1/batches"
    return [
        Route("GET", batches, Scope.READ, details.page),
        Route("GET", f"{batches}/{{batch_id}}", Scope.READ, details.one),
        Route("POST", f"{batches}/{{batch_id}}/labels", Scope.SUBMIT, details.label),
        Route("GET", "/batchyard/v1/usage", Scope.READ, usages.usage),
        Route("GET", "/batchyard/v1/usage/all", Scope.ADMIN, usages.usage, {"everybody": True}),
    ]
