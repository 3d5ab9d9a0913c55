"""Webhooks of a real server: told once it has ended, also when the server or the receiver dies in between."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.e2e.processes import ServerProcess

SECRET = "whsec_" + base64.b64encode(b"e" * 32).decode()


class Receiver:
    """A receiver of webhooks that checks each signature."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
                receiver.got.append((self.headers["webhook-id"], json.loads(body)["type"]))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def server(folder: Path, url: str, *, private: bool = True) -> ServerProcess:
    (folder / "batchyard.toml").write_text(
        f'[webhooks.ops]\nurl = "{url}"\nsecret_env = "HOOK_SECRET"\nallow_private = {str(private).lower()}\n'
    )
    options = ("--config", str(folder / "batchyard.toml"))
    return ServerProcess(folder / "data", *options, environ={"HOOK_SECRET": SECRET})


def create(here: ServerProcess) -> str:
    params = {"model": "simulator", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    body = json.dumps({"requests": [{"custom_id": "a", "params": params}]}).encode()
    return str(here.call("POST", "/v1/messages/batches", body)["id"])


def test_a_server_tells_of_a_batch_once_though_both_ends_fail(tmp_path: Path) -> None:
    with receiver() as there, server(tmp_path, there.url) as here:
        until(lambda: here.call("GET", "/batchyard/v1/webhooks")["data"])
        there.status = 503
        batch = create(here)
        until(lambda: there.got)
        here.kill()
        there.status = 204
        here.start()
        until(lambda: len(there.got) == 2)
        second = create(here)
        until(lambda: len(there.got) >= 3)

        assert there.got == [(f"{batch}.ended", "batch.ended")] * 2 + [(f"{second}.ended", "batch.ended")]
        log = here.call("GET", "/batchyard/v1/webhooks/ops/deliveries")["data"]
        assert [(one["id"], one["state"], one["tries"]) for one in log] == [
            (f"{second}.ended", "delivered", 1),
            (f"{batch}.ended", "delivered", 2),
        ]
        assert here.stop() == 0
        assert SECRET not in here.log()


def test_a_receiver_inside_is_not_spoken_to_unless_allowed(tmp_path: Path) -> None:
    with receiver() as there, server(tmp_path, there.url, private=False) as here:
        here.call("POST", "/batchyard/v1/webhooks/ops/test", b"")
        until(lambda: here.call("GET", "/batchyard/v1/webhooks/ops/deliveries")["data"][0]["tried_at"])

        [told] = here.call("GET", "/batchyard/v1/webhooks/ops/deliveries")["data"]
        assert (told["type"], told["state"], told["status"]) == ("test", "waiting", None)
        assert "inside" in told["reason"]
        assert there.got == []


def test_the_command_line_shows_and_tests_them(tmp_path: Path) -> None:
    with receiver() as there, server(tmp_path, there.url) as here:

        def run(*words: str) -> tuple[int, str, str]:
            done = subprocess.run(
                [sys.executable, "-m", "batchyard", "webhooks", *words, "--base-url", here.url],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        status, listed, _ = run("list")
        assert (status, "ops" in listed, "nothing yet" in listed) == (0, True, True)
        status, out, words = run("test", "ops")
        assert (status, out) == (0, "")
        assert "batchyard webhooks deliveries ops" in words
        until(lambda: there.got)
        until(lambda: "delivered" in run("deliveries", "ops")[1])
        [told] = [json.loads(line) for line in run("deliveries", "ops", "--json")[1].splitlines()]
        assert (told["type"], told["status"]) == ("test", 204)
        status, out, words = run("test", "none")
        assert (status, out) == (3, "")
        assert "none" in words


@pytest.mark.parametrize("text", ["", "no-secret"])
def test_a_secret_that_is_none_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    here = server(tmp_path, "https://example.com/hook")
    here._environ["HOOK_SECRET"] = text

    with pytest.raises(AssertionError, match="HOOK_SECRET"):
        here.start()
