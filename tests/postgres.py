"""A PostgreSQL server of the tests' own: a private cluster in a temporary folder, on a free port of loopback.

It is found on this machine. Where none is, a test that needs it is skipped and says so; with ``CI`` set it is installed
with apt-get, or the test fails. A server is never shared with anybody: tests kill it.
"""

import asyncio
import atexit
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest

START_SECONDS = 60.0
SETTINGS = {
    "fsync": "off",  # a killed process loses nothing that the kernel has; only a power cut would
    "max_connections": "60",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "logging_collector": "off",
    "restart_after_crash": "on",
}
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def unavailable(reason: str) -> NoReturn:
    """Skip the test with the reason; fail where nothing may be missing."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"needed in CI: {reason}")
    pytest.skip(reason)


def find() -> Path | None:
    """Return the folder with ``postgres`` and ``initdb``, the newest one."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _PLACES:
        candidates += sorted(Path("/").glob(pattern[1:]), key=lambda folder: folder.parent.name, reverse=True)
    return next((one for one in candidates if (one / "postgres").exists() and (one / "initdb").exists()), None)


@cache
def programs() -> Path:
    """Return the folder with the server's programs, installed where ``CI`` wants them; else skip the test."""
    found = find()
    if found is None and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
            subprocess.run(["apt-get", "--quiet", *command], check=False, capture_output=True, timeout=600)
        found = find()
    if found is None:
        unavailable("PostgreSQL is not installed (Debian: apt-get install postgresql): its store is not tried")
    return found


class Cluster:
    """One server. Its processes are ours to kill; it ends with this process in any case."""

    def __init__(self, **settings: str) -> None:
        self._programs = programs()
        self._settings = {**SETTINGS, **settings}
        self._user = _user()
        self.folder = Path(tempfile.mkdtemp(prefix="batchyard-postgres-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._run(["initdb", "--no-sync", "--auth=trust", "--username=batchyard", "--encoding=UTF8", "--locale=C"])

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"postgresql://batchyard@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._user,
                group=self._user and pwd.getpwnam(self._user).pw_gid,
                extra_groups=[] if self._user else None,
                preexec_fn=_die_with_us,  # noqa: PLW1509 it makes one system call, before there are threads
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        while self._ask("select 1") != [(1,)]:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "log").read_text()[-4000:]

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop the server: at once and in order (SIGINT), or without a word (SIGKILL); then all of it is gone."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)
            deadline = time.monotonic() + START_SECONDS
            while _members(self.process.pid):  # the postmaster's children see that it is gone and end
                assert time.monotonic() < deadline
                if how == signal.SIGKILL:
                    for pid in _members(self.process.pid):
                        _kill(pid)
                time.sleep(0.02)
            self.process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def schema_url(self, schema: str | None = None) -> str:
        """Return the URL of a schema of its own, which is not there yet."""
        return f"{self.url}?schema={schema or f't{secrets.token_hex(6)}'}"

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        answer = self._ask(statement, *values)
        assert answer is not None, "the server does not answer"
        return answer

    def backends(self, application: str = "batchyard") -> list[int]:
        """Return the processes that serve connections of a program."""
        return [row[0] for row in self.ask("select pid from pg_stat_activity where application_name = $1", application)]

    def _ask(self, statement: str, *values: object) -> list[tuple[Any, ...]] | None:
        async def ask() -> list[tuple[Any, ...]] | None:
            try:
                connection = await asyncpg.connect(self.url, timeout=10)
            except (OSError, asyncpg.PostgresError):
                return None
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as apart:  # the caller may stand in a loop of its own
            return apart.submit(lambda: asyncio.run(ask())).result()

    def _run(self, command: Sequence[str]) -> None:
        name, *options = command
        done = subprocess.run(
            [self._programs / name, "-D", self.folder / "data", *options],
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=self._user,
            group=self._user and pwd.getpwnam(self._user).pw_gid,
            extra_groups=[] if self._user else None,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@cache
def shared() -> Cluster:
    """Return the one server of this test process for tests that do it no harm."""
    cluster = Cluster(synchronous_commit="on", full_page_writes="off", autovacuum_naptime="10s")
    atexit.register(cluster.remove)
    cluster.start()
    return cluster


def _user() -> str | None:
    """Return who the server runs as where we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("no user to run PostgreSQL as")


def _die_with_us() -> None:
    """Let the kernel stop the server when this process dies, however it dies (Linux)."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGINT)
    except (OSError, AttributeError):
        return


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _members(session: int) -> list[int]:
    """Return the processes of a session that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
