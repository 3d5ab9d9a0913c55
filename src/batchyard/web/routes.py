"""The table of routes: what each path and method is for, which scope it takes, and who answers.

A route that names no scope cannot be written, so no path is open by an oversight.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from batchyard.domain.access import Scope
from batchyard.web.calls import ApiCall, Sendable

COUNTED = ("/v1/messages/batches", "/batchyard/")
"""What the paths of counted calls begin with: messages, counts and models have the limits of their lane."""
Handler = Callable[[ApiCall], Awaitable[Sendable]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a key needs to make a call, and who answers it."""

    scope: Scope
    answer: Handler
    counted: bool = True
    """Whether it counts against the calls that a workspace may make in a minute."""
    path: str = ""
    """The route's path, with its parameters in braces."""
    also: tuple[Scope, ...] = ()
    """Other scopes, each of which is enough too."""


Methods = Mapping[str, Endpoint]
Overlay = Callable[[list[str], Methods | None], Methods | None]
"""Takes a path's segments and its methods (None: nothing is there); returns those to use."""


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` has parameters in braces, each a whole segment; ``answer`` takes the call, then their values in order.

    ``fixed`` are further arguments that it takes by name, ``also`` other scopes that open it too.
    """

    method: str
    path: str
    scope: Scope
    answer: Callable[..., Awaitable[Sendable]]
    fixed: Mapping[str, object] = field(default_factory=dict)
    also: tuple[Scope, ...] = ()


@dataclass(slots=True)
class _Node:
    words: "dict[str, _Node]" = field(default_factory=dict)
    parameter: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)


class Routes:
    """Finds what can be done at a path. A word beats a parameter; an empty segment is neither."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._root = _Node()
        for route in self.all:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.words.setdefault(segment, _Node())
        assert route.method not in node.routes, f"{route.method} {route.path} is there twice"
        node.routes[route.method] = route

    def methods(self, segments: Iterable[str]) -> Methods | None:
        """Return the methods of a path that was split, then decoded; None where nothing is there."""
        node, values = self._root, []
        for segment in segments:
            if segment in node.words:
                node = node.words[segment]
            elif node.parameter is not None and segment:
                node = node.parameter
                values.append(segment)
            else:
                return None
        return {method: _endpoint(route, values) for method, route in node.routes.items()} or None


def _endpoint(route: Route, values: list[str]) -> Endpoint:
    def answer(call: ApiCall) -> Awaitable[Sendable]:
        return route.answer(call, *values, **route.fixed)

    return Endpoint(route.scope, answer, route.path.startswith(COUNTED), route.path, route.also)


def nothing_over(_: list[str], methods: Methods | None) -> Methods | None:
    """Leave every path as it is."""
    return methods
