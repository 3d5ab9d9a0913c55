"""Real processes for end-to-end tests: a server that can be killed, and an upstream that counts its calls."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

START_SECONDS = 30.0
HEADERS = {"x-api-key": "test", "anthropic-version": "2023-06-01", "content-type": "application/json"}


class ServerProcess:
    """``batchyard serve`` as a process of its own, on a free port."""

    program: Sequence[str] = ("-m", "batchyard")

    def __init__(self, data: Path, /, *options: str, environ: dict[str, str] | None = None) -> None:
        self.data = data
        self.options = options
        self._environ = {**os.environ, **(environ or {})}
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait for its line on standard output."""
        log = (self.data.parent / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, *self.program, "serve", "--port", "0", "--data", str(self.data), *self.options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=self.data.parent,
            env=self._environ,
        )
        log.close()
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line.startswith("Batchyard is listening on "):
            self.kill()
            raise AssertionError((line, self.log()))
        self.url = line.split()[-1]

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.data.parent / "server.log").read_text()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.kill()
        return status

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        """Make one API call and return its JSON; raise AssertionError unless it is 200."""
        status, answer = self.raw(method, path, body, headers)
        assert status == 200, (status, answer)
        return json.loads(answer)

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Make one API call and return status and body."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            connection.request(method, path, body, {**HEADERS, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def create(self, requests: int, *, words: str = "hello", headers: dict[str, str] | None = None) -> Any:
        """Create a batch of so many small requests, ``r0``, ``r1`` …, each with params of its own."""
        params = {"model": "claude-haiku-4-5-20251001", "max_tokens": 20}
        body = {
            "requests": [
                {
                    "custom_id": f"r{number}",
                    "params": {**params, "messages": [{"role": "user", "content": f"{words} {number}"}]},
                }
                for number in range(requests)
            ]
        }
        return self.call("POST", "/v1/messages/batches", json.dumps(body).encode(), headers)

    def results(self, batch_id: str) -> list[dict[str, Any]]:
        """Return the result lines of an ended batch."""
        status, text = self.raw("GET", f"/v1/messages/batches/{batch_id}/results")
        assert status == 200, (status, text)
        assert text.endswith(b"\n")
        return [json.loads(line) for line in text.splitlines()]


class CountingUpstream:
    """A Messages server in a thread of its own: answers after ``latency`` seconds, counts each body it was sent.

    ``busy_seconds`` adds up how long each call was with it, ``first_at`` and ``last_at`` are of the first and last one.
    """

    def __init__(self, latency: float = 0.02) -> None:
        self.latency = latency
        self.calls: Counter[bytes] = Counter()
        self.keys: set[str] = set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.busy_seconds = self.first_at = self.last_at = 0.0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def repeated(self) -> int:
        """Calls beyond the first of each body."""
        return sum(self.calls.values()) - len(self.calls)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._listen())
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                body = await reader.readexactly(int(fields[b"content-length"]))
                self.calls[body] += 1
                self.keys.add(re.findall(rb"(?i)x-api-key: (\S*)", head + b"x-api-key: ")[0].decode())
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                began = self._loop.time()
                await asyncio.sleep(self.latency)
                self.in_flight -= 1
                self.first_at, self.last_at = self.first_at or began, self._loop.time()
                self.busy_seconds += self.last_at - began
                answer = self._answer(body)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ")
                writer.write(b"%d\r\n\r\n%s" % (len(answer), answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, body: bytes) -> bytes:
        params = json.loads(body)
        message = {
            "id": "msg_01upstream",
            "type": "message",
            "role": "assistant",
            "model": params["model"],
            "content": [{"type": "text", "text": params["messages"][0]["content"]}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 3, "output_tokens": 2},
        }
        return json.dumps(message).encode()
