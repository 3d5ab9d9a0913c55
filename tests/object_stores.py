"""The object stores of other clouds: Azurite, Microsoft's own stand-in, and Google's dialect in front of moto's server.

Azurite comes from npm, into ``.node-azurite`` beside ``.venv``. What there is for Google's XML API knows no uploads in
parts; but that API is S3's but for who asks, so a front of ours checks that and hands the call on.
"""

import atexit
import base64
import hashlib
import hmac
import http.client
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from tests import object_store
from tests.object_store import BUCKET
from tests.sdk.tools import ROOT, once, run, unavailable

ACCOUNT = "batchyard"
TOKEN = "a token"
_PACKAGES = ROOT / "tests" / "contract" / "azurite"
_STARTED_BY = "node_modules/azurite/dist/src/blob/main.js"
_START_SECONDS = 120.0
_HANDED_ON = ("Content-Type", "Range")
_AS_S3 = "AWS4-HMAC-SHA256 Credential=nobody/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"


class Store(Protocol):
    """An object store with a bucket in it."""

    def url(self, prefix: str) -> str: ...


class Azurite:
    """Its process, which keeps everything in memory, with an account and a container."""

    def __init__(self) -> None:
        self._key = base64.b64encode(secrets.token_bytes(64)).decode()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.environ = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": self._key,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{self._port}/{ACCOUNT}",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty but for the container."""
        options = ["--blobPort", str(self._port), "--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]
        self._process = subprocess.Popen(
            [*_azurite(), *options],
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self._key}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while (status := self._make_container()) != 201:
            assert self._process.poll() is None, "Azurite does not start"
            assert time.monotonic() < deadline, f"Azurite does not answer: {status}"
            time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def url(self, prefix: str) -> str:
        return f"az://{BUCKET}/{prefix}"

    def _make_container(self) -> int:
        """Ask for it as the account's owner may; return the status, 0 where nobody answers."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
        named = "\n".join(f"{name}:{value}" for name, value in headers.items())
        signed = "PUT" + "\n" * 12 + f"{named}\n/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
        signature = hmac.new(base64.b64decode(self._key), signed.encode(), hashlib.sha256).digest()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("PUT", f"/{ACCOUNT}/{BUCKET}?restype=container", b"", headers)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def _azurite() -> list[str]:
    """Return the command, installed where it was not."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        unavailable("node and npm are not installed: Azure's object store is not tried")
    folder = ROOT / ".node-azurite"
    wanted = [_PACKAGES / "package.json", _PACKAGES / "package-lock.json"]

    def install() -> None:
        folder.mkdir(exist_ok=True)
        for file in wanted:
            shutil.copy(file, folder)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=folder)

    once(folder, wanted, install)
    return [node, str(folder / _STARTED_BY)]


class Google:
    """A front on a free port of loopback, in threads of this process."""

    def __init__(self) -> None:
        object_store.shared()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Front)
        self.environ = {
            "GOOGLE_BASE_URL": f"http://127.0.0.1:{self._server.server_port}",
            "GOOGLE_BEARER_TOKEN": TOKEN,
        }

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, prefix: str) -> str:
        return f"gs://{BUCKET}/{prefix}"


class _Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {}, b"<Error><Code>AuthenticationRequired</Code></Error>")
            return
        kept = {name: self.headers[name] for name in _HANDED_ON if name in self.headers}
        connection = http.client.HTTPConnection("127.0.0.1", object_store.shared().port, timeout=30)
        try:
            connection.request(self.command, self.path, body, {**kept, "Authorization": _AS_S3})
            answer = connection.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        # The length of what is not sent, of a HEAD, is the object's.
        told = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _carry  # noqa: N815 the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _kept(server: Azurite | Google) -> Store:
    """Keep it for this test process, which the environment leads to from now on."""
    atexit.register(server.stop)
    server.start()
    os.environ.update(server.environ)
    return server


@cache
def azure() -> Store:
    return _kept(Azurite())


@cache
def google() -> Store:
    return _kept(Google())


STORES: dict[str, Callable[[], Store]] = {"s3": object_store.shared, "gs": google, "az": azure}
