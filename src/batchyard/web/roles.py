"""What a process serves that does only a part of the work, beside others on one store.

api        everything but messages that somebody waits for: those take a slot, and only dispatchers have any
dispatch   those messages, and what is about the server itself; batches are for the API processes

A path that is another process's is refused in words: ``not_found`` would look as if a batch were gone.
"""

from batchyard.domain.errors import Forbidden
from batchyard.web.routes import Methods, Overlay

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
