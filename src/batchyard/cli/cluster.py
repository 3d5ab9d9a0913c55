"""`batchyard ray`: dispatchers on the nodes of a Ray cluster."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchyard.cli.screen import say
from batchyard.cli.settings import with_settings
from batchyard.client.errors import ServerError, WrongUse
from batchyard.settings import DECLARED, Settings

if TYPE_CHECKING:
    from batchyard.cluster.fleet import Bounds, Needs

TOLD = ("database", "objects", "data", "upstream", "upstream_api", "upstream_key_env", "model", "concurrency", "config")
"""Settings of the dispatchers that are options here too."""
HANDED_ON = re.compile(r"(BATCHYARD|PG|AWS|GOOGLE|AZURE)[A-Z_]*\Z")
"""Variables of ours that the nodes get: settings, and what databases and object stores are reached with."""
LOOK_SECONDS = 5.0
NO_RAY = "needs ray, which is not installed: pip install 'batchyard[ray]'"

Address = Annotated[str, typer.Option(metavar="ADDRESS", help="Head of the cluster, such as 10.0.0.1:6379, or auto.")]


Dispatchers = Annotated[
    str, typer.Option(metavar="N|A..B", help="How many; A..B: by what waits, between these bounds.")
]
Each = Annotated[int, typer.Option(min=1, metavar="N", help="With A..B: waiting requests for each dispatcher.")]
Cpus = Annotated[float, typer.Option(min=0, metavar="N", help="CPUs of its node that each takes.")]
Gpus = Annotated[float, typer.Option(min=0, metavar="N", help="GPUs of its node that each takes.")]
Resource = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME[=N]", help="A label that its node must have; may be given several times."),
]
Engine = Annotated[
    str, typer.Option(metavar="COMMAND", help="Model server beside each, as its upstream; {port} is its port.")
]
EnginePath = Annotated[str, typer.Option(metavar="PATH", help="Where the engine answers 200 once it is ready.")]


@with_settings(TOLD)
def up(
    settings: Settings,
    address: Address = "auto",
    dispatchers: Dispatchers = "2",
    requests_each: Each = 5_000,
    cpus: Cpus = 1.0,
    gpus: Gpus = 0.0,
    resource: Resource = None,
    engine: Engine = "",
    engine_path: EnginePath = "/v1/models",
) -> int:
    """Run dispatchers on a Ray cluster until a signal, which drains them. They find their work in the database.

    Variables that begin with BATCHYARD_, PG, AWS_, GOOGLE_ or AZURE_ are handed on to them. They outlive this program
    if it is killed; the next one takes them over.

    \b
    Example:
      $ batchyard ray up --address auto --dispatchers 4 --upstream http://10.0.0.9:8000
      $ batchyard ray up --dispatchers 1..8 --gpus 1 --engine "vllm serve Qwen/Qwen3-8B --port {port}"
    """
    from batchyard.cluster.fleet import Fleet
    from batchyard.cluster.place import Spec

    bounds, needs = bounds_of(dispatchers, requests_each), needs_of(cpus, gpus, resource or [])
    if settings.database is None:
        raise WrongUse("ray: needs --database: the dispatchers share it")
    if engine and settings.upstream is not None:
        raise WrongUse("--engine and --upstream: name one of the two")
    with connected(address) as ray:
        stop = _stop_by_signal()  # after Ray, which takes the signals for itself
        fleet = Fleet(ray, Spec(environ_of(settings), engine, engine_path), needs)
        _keep(fleet, bounds, settings, stop)
        say("draining")
        fleet.end(settings.drain_timeout.total_seconds() + 30.0)
    return 0


def down(
    address: Address = "auto",
    seconds: Annotated[float, typer.Option(min=0, metavar="N", help="How long calls in flight may take.")] = 630.0,
) -> int:
    """End the dispatchers that a `batchyard ray up` left behind: each drains first.

    \b
    Example:
      $ batchyard ray down --address auto
    """
    from batchyard.cluster.fleet import Fleet, Needs
    from batchyard.cluster.place import Spec

    with connected(address) as ray:
        Fleet(ray, Spec({}), Needs()).end(seconds)
    return 0


def bounds_of(text: str, requests_each: int) -> "Bounds":
    """Return what ``--dispatchers`` says."""
    from batchyard.cluster.fleet import Bounds

    found = re.fullmatch(r"(\d{1,3})(?:\.\.(\d{1,3}))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
    if not least <= most or most < 1:
        raise WrongUse(f"--dispatchers {text!r}: must be a number, or two such as 1..8")
    return Bounds(least, most, requests_each)


def needs_of(cpus: float, gpus: float, resources: list[str]) -> "Needs":
    """Return what ``--cpus``, ``--gpus`` and each ``--resource`` say."""
    from batchyard.cluster.fleet import Needs

    named = {}
    for text in resources:
        name, _, amount = text.partition("=")
        if not name or not re.fullmatch(r"\d{1,9}(\.\d{1,4})?", amount or "1"):
            raise WrongUse(f"--resource {text!r}: must be a name, or NAME=N")
        named[name] = float(amount or "1")
    return Needs(cpus, gpus, named)


def environ_of(settings: Settings) -> dict[str, str]:
    """Return the variables that a dispatcher gets: ours, and what was said by options."""
    environ = {name: value for name, value in os.environ.items() if HANDED_ON.match(name)}
    for name in TOLD:
        value = getattr(settings, name)
        if value is not None and str(value) != DECLARED[name].default:
            environ[DECLARED[name].variable] = str(value.resolve() if hasattr(value, "resolve") else value)
    if settings.upstream_key_env and settings.upstream_key:
        environ[settings.upstream_key_env] = settings.upstream_key
    return environ


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Return Ray, connected to the cluster."""
    try:
        import ray
    except ModuleNotFoundError:
        raise WrongUse(f"ray {NO_RAY}") from None
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as problem:
        raise ServerError(f"no Ray cluster at {address}: {str(problem).splitlines()[0]}") from None
    try:
        yield ray
    except ray.exceptions.RayError as problem:
        raise ServerError(f"the Ray cluster: {str(problem).splitlines()[0]}") from None
    finally:
        ray.shutdown()


def _keep(fleet: Any, bounds: "Bounds", settings: Settings, stop: threading.Event) -> None:
    from batchyard import app

    there, wanted = -1, bounds.least
    while not stop.is_set():
        if bounds.least < bounds.most:
            waiting = app.waiting(settings)
            wanted = wanted if waiting is None else bounds.wanted(waiting)
        now = fleet.keep(wanted)
        if now != there:
            say(f"{now} dispatchers")
            there = now
        stop.wait(LOOK_SECONDS)


def _stop_by_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
