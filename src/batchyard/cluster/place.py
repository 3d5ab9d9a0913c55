"""What runs on a node: a dispatcher, and before it the engine it sends to, if one is wanted. An actor of Ray, which
this module does not know.

engine ──> it answers ──> dispatcher ──> either ends by itself: the other is ended, and so is the actor; Ray begins anew
"""

import ctypes
import os
import shlex
import signal
import socket
import subprocess  # it starts the operator's own command  # nosec B404
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

ENGINE_STOP_SECONDS = 30.0
START_SECONDS = 60.0
PORT = "{port}"
"""Stands in an engine's command for a free port of its node."""


@dataclass(frozen=True, slots=True)
class Spec:
    """``environ`` is what the dispatcher is told, by variables. ``engine`` is a command with ``{port}`` in it, and
    ``engine_seconds`` how long it may take until it answers at ``engine_path``."""

    environ: Mapping[str, str]
    engine: str = ""
    engine_path: str = "/v1/models"
    engine_seconds: float = 1800.0
    command: Sequence[str] = field(default_factory=lambda: (sys.executable, "-m", "batchyard", "serve"))


class Child:
    """A process that ends when we do, however we do: the kernel sees to it while the thread lives that made it."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], ended: Callable[[], None]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._command, self._environ, self._ended = command, environ, ended
        self._made = threading.Event()
        self._problem: OSError | None = None
        threading.Thread(target=self._run, daemon=True, name=f"child {command[0]}").start()
        self._made.wait()
        if self._problem is not None:
            raise self._problem

    def _run(self) -> None:
        try:
            self.process = subprocess.Popen(  # noqa: S603 the operator's own command  # nosec B603
                self._command,
                env={**os.environ, **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                preexec_fn=_end_with_parent,  # noqa: PLW1509 it makes one system call
            )
        except OSError as problem:
            self._problem = problem
            return
        finally:
            self._made.set()
        self.process.wait()
        self._ended()

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds: float | None) -> int:
        """SIGTERM, and after so many seconds SIGKILL; return the exit status."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Place:
    """An engine, if one is wanted, and a dispatcher. It raises where they do not start; then Ray tries anew."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._starting, self._stopping = True, False
        self._engine: Child | None = None
        environ = {"BATCHYARD_ROLE": "dispatch", "BATCHYARD_PORT": "0", **spec.environ}
        if spec.engine:
            environ["BATCHYARD_UPSTREAM"] = self._start_engine()
        self._dispatcher = Child(spec.command, environ, self._ended)
        self._starting = False  # from here on an end is met by `_ended`; one before it, here
        if not self.state()["lives"]:
            self.drain()
            raise RuntimeError("the dispatcher or its engine ended as soon as it was started")

    def state(self) -> dict[str, object]:
        """Return where it is and whether its processes live."""
        return {
            "node": socket.gethostname(),
            "pid": self._dispatcher.process.pid if self._dispatcher.process else 0,
            "lives": self._dispatcher.lives and (self._engine is None or self._engine.lives),
        }

    def drain(self) -> int:
        """Let the dispatcher finish what is in flight, then end the engine; return the dispatcher's exit status."""
        self._stopping = True
        status = self._dispatcher.stop(None)
        if self._engine is not None:
            self._engine.stop(ENGINE_STOP_SECONDS)
        return status

    def _start_engine(self) -> str:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        words = [word.replace(PORT, str(port)) for word in shlex.split(self._spec.engine)]
        self._engine = Child(words, {}, self._ended)
        deadline = time.monotonic() + self._spec.engine_seconds
        while not _answers(url + self._spec.engine_path):
            if not self._engine.lives or time.monotonic() > deadline:
                self._stopping = True
                self._engine.stop(ENGINE_STOP_SECONDS)
                raise RuntimeError(f"the engine did not answer at {url}{self._spec.engine_path}: {self._spec.engine}")
            time.sleep(0.2)
        return url

    def _ended(self) -> None:
        """One of the two ended though nobody asked it to: end the other, and ourselves, for Ray to begin anew."""
        if self._starting or self._stopping:
            return
        self._stopping = True
        if self._engine is not None and self._engine.lives:
            self._engine.stop(ENGINE_STOP_SECONDS)
        os._exit(1)


def _end_with_parent() -> None:
    """Let the kernel tell the child to stop when the thread that made it dies (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 the address is ours  # nosec B310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
