"""Nothing secret shows in the log, the metrics, refusals or the process list, whatever a model server repeats."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.e2e.processes import ServerProcess

OURS, THEIRS = "byk-bootstrap-0123456789abcdef", "sk-provider-0123456789abcdef"
PROMPT, NAME = "a-prompt-that-nobody-may-read", "custom-id-of-somebody"
PATH = "/v1/messages/batches"


class _Parrot(http.server.BaseHTTPRequestHandler):
    """A model server that answers with all that it was sent, in every wrong way."""

    ways: ClassVar[list[tuple[int, str]]] = [
        (400, '{"type":"error","error":{"type":"invalid_request_error","message":%s}}'),
        (500, '{"type":"error","error":{"type":"api_error","message":%s}}'),
        (200, "<html>%s</html>"),
        (200, '{"type":"message","content":%s}'),
        (529, '{"type":"error","error":{"type":"overloaded_error","message":%s}}'),
        (401, '{"type":"error","error":{"type":"authentication_error","message":%s}}'),
    ]
    calls = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        status, form = self.ways[min(type(self).calls, len(self.ways) - 1)]
        type(self).calls += 1
        answer = (form % json.dumps(f"{body} {self.headers}")).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def parrot() -> Iterator[str]:
    _Parrot.calls = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Parrot) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_nothing_secret_shows_whatever_a_model_server_repeats(tmp_path: Path) -> None:
    params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": PROMPT}]}
    requests = [{"custom_id": f"{NAME}-{number}", "params": params} for number in range(6)]
    environ = {"BATCHYARD_BOOTSTRAP_KEY": OURS, "THEIR_KEY": THEIRS}
    headers = {"x-api-key": OURS}
    with parrot() as url:
        options = ("--upstream", url, "--upstream-key-env", "THEIR_KEY", "--concurrency", "1")
        with ServerProcess(tmp_path / "data", *options, environ=environ) as server:
            batch = server.call("POST", PATH, json.dumps({"requests": requests}).encode(), headers)
            until = time.monotonic() + 60
            while '"event":"lane_' not in server.log():
                assert time.monotonic() < until, server.log()[-2000:]
                time.sleep(0.1)
            assert server.process is not None
            wrong = {"x-api-key": OURS[:-1] + "X"}
            told = [
                server.log().encode(),
                server.raw("GET", "/metrics", headers=headers)[1],
                server.raw("GET", f"{PATH}/{batch['id']}", headers=headers)[1],
                server.raw("GET", PATH, headers=wrong)[1],
                server.raw("POST", "/v1/messages", json.dumps(params).encode(), headers)[1],
                server.raw("GET", f"{PATH}/{PROMPT}", headers=wrong)[1],
                Path(f"/proc/{server.process.pid}/cmdline").read_bytes(),
            ]
            told.append(server.log().encode())

    secrets = (OURS, THEIRS, NAME, PROMPT, OURS[:-1] + "X")
    found = [(word, text) for text in told for word in secrets if word.encode() in text]
    assert found == []
    for line in told[-1].decode().splitlines():
        assert isinstance(json.loads(line), dict)
