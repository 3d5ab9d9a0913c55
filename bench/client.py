"""The API as the measurements use it: standard library only, so that it costs little and adds nothing of its own."""

import http.client
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HEADERS = {"x-api-key": "bench", "anthropic-version": "2023-06-01"}
BATCHES = "/v1/messages/batches"


class Unexpected(Exception):
    """An answer that makes the measurement worthless: another status, a lost or failed request."""


@dataclass(frozen=True, slots=True)
class Download:
    """What came, how fast."""

    size: int
    seconds: float
    first_byte_seconds: float


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str, *, timeout: float = 300.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout, blocksize=1 << 20)

    def close(self) -> None:
        self.connection.close()

    def get(self, path: str) -> bytes:
        self.connection.request("GET", path, headers=HEADERS)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise Unexpected(f"GET {path}: {response.status} {body[:500]!r}")
        return body

    def create(self, body: Path) -> str:
        """Upload a create from a file; return the id of the batch."""
        headers = {**HEADERS, "content-type": "application/json", "content-length": str(body.stat().st_size)}
        with body.open("rb") as file:
            self.connection.request("POST", BATCHES, body=file, headers=headers)
        response = self.connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise Unexpected(f"POST {BATCHES}: {response.status} {answer[:500]!r}")
        return str(json.loads(answer)["id"])

    def follow(self, batch: str, *, within: float = 1800.0, every: float = 0.1, may_fail: int = 0) -> None:
        """Wait until the batch has ended with every request succeeded, or all but so many."""
        deadline = time.monotonic() + within
        while True:
            seen = json.loads(self.get(f"{BATCHES}/{batch}"))
            if seen["processing_status"] == "ended":
                break
            if time.monotonic() > deadline:
                raise Unexpected(f"{batch} has not ended after {within:.0f} s: {seen['request_counts']}")
            time.sleep(every)
        counts = seen["request_counts"]
        if sum(counts.values()) - counts["succeeded"] > may_fail:
            raise Unexpected(f"{batch} ended with {counts}")

    def download(self, path: str, sink: Path | None = None) -> Download:
        """Read a whole answer in large pieces, to a file if one is named."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers=HEADERS)
        response = self.connection.getresponse()
        if response.status != 200:
            raise Unexpected(f"GET {path}: {response.status} {response.read()[:500]!r}")
        piece = memoryview(bytearray(1 << 20))
        size = response.readinto(piece[:1])
        first = time.perf_counter() - began
        with (sink or Path("/dev/null")).open("wb") as out:
            out.write(piece[:size])
            while count := response.readinto(piece):
                out.write(piece[:count])
                size += count
        return Download(size, time.perf_counter() - began, first)

    def results(self, batch: str, sink: Path | None = None) -> Download:
        return self.download(f"{BATCHES}/{batch}/results", sink)


def check_results(path: Path, count: int) -> None:
    """Raise ``Unexpected`` unless the file has one line of success for each of ``count`` requests."""
    kinds: Counter[str] = Counter()
    ids = set()
    with path.open("rb") as lines:
        for line in lines:
            result = json.loads(line)
            kinds[result["result"]["type"]] += 1
            ids.add(result["custom_id"])
    if len(ids) != count or kinds != {"succeeded": count}:
        raise Unexpected(f"results of {count} requests: {len(ids)} ids, {dict(kinds)}")
