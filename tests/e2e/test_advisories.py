"""Nothing that is pinned has a known advisory. The service is asked in the long form alone."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["run.txt", "dev.txt"]


class Unreachable(Exception):
    """The service that knows of advisories does not answer."""


def advisories(lock: Path, url: str | None = None) -> list[str]:
    """Return what is known of the packages that the file pins, as ``name version: ids``."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "30"]
    service = ["--vulnerability-service", "osv", *(["--osv-url", url] if url else [])]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--requirement", lock, *options, *service],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if not done.stdout:
        raise Unreachable(done.stderr.strip().rpartition("\n")[2][:300])
    pins = json.loads(done.stdout)["dependencies"]
    assert len(pins) == sum("==" in line for line in lock.read_text().splitlines())
    return [
        f"{pin['name']} {pin['version']}: {', '.join(one['id'] for one in pin['vulns'])}"
        for pin in pins
        if pin["vulns"]
    ]


class _Knows(http.server.BaseHTTPRequestHandler):
    """A service that knows one advisory."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        found = {"id": "PYSEC-1", "affected": [{"package": asked["package"], "versions": [asked["version"]]}]}
        answer = json.dumps({"vulns": [found]} if asked["package"]["name"] == "uvicorn" else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def service() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Knows) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def test_an_advisory_is_found_and_silence_is_no_absence() -> None:
    with service() as url:
        [found] = advisories(ROOT / "requirements" / "run.txt", url)

    assert found.startswith("uvicorn ")
    assert found.endswith(": PYSEC-1")
    with pytest.raises(Unreachable):
        advisories(ROOT / "requirements" / "run.txt", url)


@pytest.mark.accept
@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_that_is_pinned_has_a_known_advisory(lock: str) -> None:
    try:
        found = advisories(ROOT / "requirements" / lock, os.environ.get("OSV_URL"))
    except Unreachable as why:
        pytest.skip(f"NOT LOOKED AT: the service that knows of advisories cannot be reached from here ({why})")
    assert found == []
