"""What a path leads to: its methods, and who may put others in their place."""

from collections.abc import Awaitable, Callable

from batchyard.web.calls import ApiCall, Sendable

Handler = Callable[[ApiCall], Awaitable[Sendable]]
Methods = dict[str, Handler]
Overlay = Callable[[list[str], Methods | None], Methods | None]
"""Takes a path's segments and its methods (None: nothing is there); returns those to use."""


def nothing_over(_: list[str], methods: Methods | None) -> Methods | None:
    """Leave every path as it is."""
    return methods
