"""An S3 server of the tests' own: moto's, as a process on a free port of loopback, with one bucket, in memory."""

import atexit
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from functools import cache

START_SECONDS = 60.0
BUCKET = "batches"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "us-east-1",
}


class ObjectStore:
    """The server. ``environ`` is what a program needs to reach it."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.environ = {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ObjectStore":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, empty but for the bucket."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, "moto's server does not start"
            assert time.monotonic() < deadline, "moto's server does not answer"
            with contextlib.suppress(OSError):
                self.make_bucket()
                return
            time.sleep(0.05)

    def make_bucket(self) -> None:
        assert self.ask("PUT", f"/{BUCKET}") == 200

    def stop(self) -> None:
        """End it; what it kept is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def url(self, prefix: str) -> str:
        return f"s3://{BUCKET}/{prefix}"

    def ask(self, method: str, path: str) -> int:
        """Make a call as anybody may who reaches it; return the status."""
        return self._asked(method, path)[0]

    def text(self, method: str, path: str) -> bytes:
        """Return the answer to such a call."""
        return self._asked(method, path)[1]

    def _asked(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@cache
def shared() -> ObjectStore:
    """Return the one server of this test process, which the environment leads to from now on."""
    server = ObjectStore()
    atexit.register(server.stop)
    server.start()
    os.environ.update(server.environ)
    return server


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Gate:
    """A port that leads to the server, until it is shut: then connections are cut, and new ones refused."""

    def __init__(self, server: ObjectStore) -> None:
        self._server = server
        self._pairs: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = _free_port()
        self.open()

    @property
    def environ(self) -> dict[str, str]:
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def open(self) -> None:
        """Lead there again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut every connection, and let nobody in."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for each in self._pairs:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._server.port))
            with self._lock:
                self._pairs += [here, there]
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Hand on what comes from one to the other, until either is cut."""
    with contextlib.suppress(OSError):
        while chunk := one.recv(65536):
            other.sendall(chunk)
    for each in (one, other):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    one.close()
