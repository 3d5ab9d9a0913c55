"""What `batchyard ray up` is told, and how many dispatchers follow from it; children end with whoever made them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchyard.cli.cluster import bounds_of, environ_of, needs_of
from batchyard.client.errors import WrongUse
from batchyard.cluster.fleet import Bounds, Fleet, Needs
from batchyard.cluster.place import Place, Spec
from batchyard.settings import Settings


@pytest.mark.parametrize(
    ("text", "waiting", "wanted"),
    [("3", 0, 3), ("3", 10**9, 3), ("1..8", 0, 1), ("1..8", 1001, 2), ("0..8", 0, 0), ("1..8", 10**9, 8)],
)
def test_dispatchers_follow_what_waits_between_their_bounds(text: str, waiting: int, wanted: int) -> None:
    assert bounds_of(text, 1000).wanted(waiting) == wanted


@pytest.mark.parametrize("text", ["", "0", "-1", "8..1", "1..", "many", "1...8"])
def test_wrong_bounds_are_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="--dispatchers"):
        bounds_of(text, 1000)


def test_resources_are_names_with_amounts() -> None:
    assert needs_of(1.0, 2.0, ["a100", "rack=0.5"]) == Needs(1.0, 2.0, {"a100": 1.0, "rack": 0.5})
    with pytest.raises(WrongUse, match="--resource"):
        needs_of(1.0, 0.0, ["a100=many"])


def test_dispatchers_are_told_what_was_said_by_options_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHYARD_LEASE", "5s")
    monkeypatch.setenv("AWS_REGION", "here")
    monkeypatch.setenv("HOME", "/nowhere")
    told = environ_of(Settings(database="postgresql://h/d", concurrency=7))

    assert {name: told[name] for name in ("BATCHYARD_LEASE", "AWS_REGION", "BATCHYARD_CONCURRENCY")} == {
        "BATCHYARD_LEASE": "5s",
        "AWS_REGION": "here",
        "BATCHYARD_CONCURRENCY": "7",
    }
    assert told["BATCHYARD_DATABASE"] == "postgresql://h/d"
    assert "HOME" not in told


ENGINE = (
    f'{sys.executable} -c "import http.server, sys;'
    "H = type('H', (http.server.BaseHTTPRequestHandler,),"
    " {'do_GET': lambda self: (self.send_response(200), self.end_headers()), 'log_message': lambda *a: None});"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\" {port}"
)
TOLD = (sys.executable, "-c", "import os, sys; sys.exit(0 if os.environ['BATCHYARD_UPSTREAM'] else 3)")
WAITS = (
    sys.executable,
    "-c",
    "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); time.sleep(600)",
)


def test_an_engine_is_awaited_and_ends_after_its_dispatcher() -> None:
    place = Place(Spec({}, engine=ENGINE, command=WAITS))
    assert place.state()["lives"] is True
    time.sleep(0.5)  # until the dispatcher's stand-in has said what it does on a signal

    assert place.drain() in (7, -15)

    assert place.state()["lives"] is False
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(place.state()["pid"])), 0)


def test_an_engine_that_does_not_answer_is_ended() -> None:
    with pytest.raises(RuntimeError, match="the engine did not answer"):
        Place(Spec({}, engine=f"{sys.executable} -c pass", command=WAITS))


PLACED = """
import sys, threading
from batchyard.cluster.place import Place, Spec
place = Place(Spec({}, engine=sys.argv[1], command=(sys.executable, "-c", sys.argv[2])))
print(place._engine.process.pid, place.state()["pid"], flush=True)
threading.Event().wait()
"""


def test_an_engine_that_dies_takes_its_dispatcher_and_the_actor_along() -> None:
    actor = subprocess.Popen([sys.executable, "-c", PLACED, ENGINE, WAITS[2]], stdout=subprocess.PIPE, text=True)
    assert actor.stdout is not None
    with actor.stdout as told:
        engine, dispatcher = map(int, told.readline().split())

    os.kill(engine, signal.SIGKILL)

    try:
        assert actor.wait(60) == 1
    finally:
        actor.kill()
        actor.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{dispatcher}/stat").exists():  # it was told by the kernel, and ends in its own time
        if Path(f"/proc/{dispatcher}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


class FakeRay:
    """As much of Ray as a fleet uses, in this process."""

    def __init__(self) -> None:
        self.actors: dict[str, FakeActor] = {}
        self.util = self

    def remote(self, _: object) -> "FakeRay":
        return self

    def options(self, *, name: str, **_: object) -> "FakeMaker":
        return FakeMaker(self, name)

    def get_actor(self, name: str, _: str) -> "FakeActor":
        return self.actors[name]

    def list_named_actors(self, *, all_namespaces: bool) -> list[dict[str, str]]:
        assert all_namespaces
        return [{"name": name, "namespace": "batchyard"} for name in self.actors]

    def wait(
        self, drains: list["FakeActor"], *, timeout: float, num_returns: int = 1
    ) -> tuple[list["FakeActor"], list["FakeActor"]]:
        assert timeout >= 0
        assert num_returns <= len(drains)
        return [one for one in drains if one.drained], [one for one in drains if not one.drained]

    def kill(self, actor: "FakeActor", *, no_restart: bool) -> None:
        assert no_restart
        del self.actors[actor.name]


class FakeMaker:
    def __init__(self, ray: FakeRay, name: str) -> None:
        self._ray, self._name = ray, name

    def remote(self, _: Spec) -> None:
        self._ray.actors.setdefault(self._name, FakeActor(self._name))


class FakeActor:
    """A dispatcher; what its drain returns is the actor itself, ready once ``drained``."""

    def __init__(self, name: str) -> None:
        self.name, self.asked, self.drained = name, False, False
        self.drain = self

    def remote(self) -> "FakeActor":
        self.asked = True
        return self


def test_dispatchers_too_many_drain_before_they_end() -> None:
    ray = FakeRay()
    fleet = Fleet(ray, Spec({}), Needs())
    assert fleet.keep(3) == 3

    assert fleet.keep(1) == 1
    assert [actor.asked for actor in ray.actors.values()] == [False, True, True]
    ray.actors["dispatcher-1"].drained = True
    fleet.keep(1)
    assert set(ray.actors) == {"dispatcher-0", "dispatcher-2"}


def test_a_fleet_finds_the_dispatchers_of_one_before_it() -> None:
    ray = FakeRay()
    Fleet(ray, Spec({}), Needs()).keep(2)

    assert Fleet(ray, Spec({}), Needs()).keep(2) == 2
    Fleet(ray, Spec({}), Needs()).end(0.0)
    assert ray.actors == {}


def test_bounds_that_are_equal_ask_nobody() -> None:
    assert Bounds(2, 2).wanted(10**9) == 2
