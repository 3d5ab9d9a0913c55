"""The dispatchers of a Ray cluster: as many as there is work for, each a named actor that outlives whoever made it.

Whoever runs ``keep`` next finds them by their names. What they do is in the database; Ray only places them, and begins
them anew when they or their nodes die.
"""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchyard.cluster.place import Place, Spec

NAMESPACE = "batchyard"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many dispatchers: one for each ``requests_each`` waiting requests, but no fewer and no more than this."""

    least: int
    most: int
    requests_each: int = 5_000

    def wanted(self, waiting: int) -> int:
        return max(self.least, min(self.most, math.ceil(waiting / self.requests_each)))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a dispatcher needs of its node: CPUs, GPUs, other resources by name."""

    cpus: float = 1.0
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)


class Fleet:
    """``ray`` is the library, connected. Errors of it are the caller's."""

    def __init__(self, ray: Any, spec: Spec, needs: Needs) -> None:
        self._ray, self._spec = ray, spec
        self._place = ray.remote(Place)
        self._options = {
            "namespace": NAMESPACE,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": -1,
            "max_concurrency": 4,  # a drain takes long, and is asked about meanwhile
            "num_cpus": needs.cpus,
            "num_gpus": needs.gpus,
            "resources": dict(needs.resources),
            "scheduling_strategy": "SPREAD",
        }
        self._going: dict[str, Any] = {}
        """Dispatchers that drain, and what will tell how that ended."""

    def keep(self, wanted: int) -> int:
        """Have so many dispatchers, and let those beyond drain; return how many there are beside those."""
        self._let_go()
        for number in range(wanted):
            name = _name(number)
            if name not in self._going:
                self._place.options(name=name, **self._options).remote(self._spec)
        for name in self._names():
            if int(name.rpartition("-")[2]) >= wanted and name not in self._going:
                self._going[name] = self._ray.get_actor(name, NAMESPACE).drain.remote()
        return len([name for name in self._names() if name not in self._going])

    def end(self, seconds: float) -> None:
        """Let all drain, for so long, and end them."""
        self.keep(0)
        if self._going:
            self._ray.wait(list(self._going.values()), num_returns=len(self._going), timeout=seconds)
        for name in self._names():
            with contextlib.suppress(ValueError):
                self._ray.kill(self._ray.get_actor(name, NAMESPACE), no_restart=True)
        self._going.clear()

    def _let_go(self) -> None:
        """End the actors whose dispatchers have drained."""
        for name, drained in list(self._going.items()):
            ready, _ = self._ray.wait([drained], timeout=0)
            if ready:
                with contextlib.suppress(ValueError):
                    self._ray.kill(self._ray.get_actor(name, NAMESPACE), no_restart=True)
                del self._going[name]

    def _names(self) -> list[str]:
        """Return the names of all our actors, of those before us too."""
        listed = self._ray.util.list_named_actors(all_namespaces=True)
        return sorted(
            one["name"] for one in listed if one["namespace"] == NAMESPACE and one["name"].startswith(_name(""))
        )


def _name(number: int | str) -> str:
    return f"dispatcher-{number}"
