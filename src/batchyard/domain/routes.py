"""Which upstreams take the requests of a model, and what they are asked for there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream by name, and how much of a route's work it should have beside the others."""

    upstream: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """Models whose name fits one of the patterns go to ``targets``; to ``fallback`` while all of those are held.

    In a pattern ``*`` stands for any characters, ``?`` for one, ``[ab]`` for one of these; case counts.
    """

    models: tuple[str, ...]
    targets: tuple[Target, ...]
    fallback: tuple[Target, ...] = ()

    def takes(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class Names:
    """What an upstream calls its models: ``always`` one name; else the first pattern of ``instead`` that fits."""

    always: str | None = None
    instead: Mapping[str, str] = field(default_factory=dict)

    def of(self, model: str) -> str:
        """Return the name to ask for where a client names this model."""
        if self.always is not None:
            return self.always
        return next((name for pattern, name in self.instead.items() if fnmatchcase(model, pattern)), model)


def route(routes: Sequence[Route], model: str) -> Route | None:
    """Return the first route that takes the model, None where there is none."""
    return next((one for one in routes if one.takes(model)), None)
