"""What a process serves that does only a part of the work, beside others on one store.

api        everything but messages that somebody waits for: those take a slot, and only dispatchers have any
dispatch   those messages, and what is about the server itself; batches are for the API processes, and so are the pages
           and forms about them

A path that is another process's is refused in words: ``not_found`` would look as if a batch were gone.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NoReturn

from batchyard.domain.errors import Forbidden
from batchyard.web.routes import Methods, Overlay, Route

MESSAGES = ["v1", "messages"]


def serving(role: str, inner: Overlay) -> Overlay:
    """Return the overlay of a role; what is left of the paths is up to the one within."""

    def methods(segments: list[str], usual: Methods | None) -> Methods | None:
        if role == "api" and segments == MESSAGES:
            raise Forbidden("This process has the role api: send messages to one with the role dispatch or all.")
        if role == "dispatch" and "batches" in segments[:3]:
            raise Forbidden("This process has the role dispatch: send batches to one with the role api or all.")
        return inner(segments, usual)

    return methods


def pages_of(role: str, pages: Iterable[Route]) -> list[Route]:
    """Return the pages of a role; those that are another process's say so."""
    if role != "dispatch":
        return list(pages)
    return [replace(page, answer=_elsewhere) if _is_of_batches(page) else page for page in pages]


def _is_of_batches(page: Route) -> bool:
    return page.path == "/" or page.path.startswith("/batches")


async def _elsewhere(*_: object, **__: object) -> NoReturn:
    raise Forbidden("This process has the role dispatch: look at batches at one with the role api or all.")
