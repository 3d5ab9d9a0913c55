"""Made-up requests of an exact size, as the body of a create and as JSONL; made once a sitting."""

import json
from collections.abc import Iterator
from pathlib import Path

MODEL = "claude-haiku-4-5"
SENTENCE = "Say in one word whether this review is good or bad: the kettle boils fast, pours well and hardly hums. "


def request(number: int, size: int) -> bytes:
    """Return one request of a batch, ``size`` bytes long (at least some 230)."""
    params = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "%"}]}
    empty = json.dumps({"custom_id": f"review-{number:07}", "params": params}, separators=(",", ":"))
    room = max(size - len(empty) + 1, 1)
    return empty.replace("%", (SENTENCE * (room // len(SENTENCE) + 1))[:room]).encode()


def requests(count: int, size: int) -> Iterator[bytes]:
    return (request(number, size) for number in range(count))


def batch_body(folder: Path, count: int, size: int) -> Path:
    """Return a file with the body of a create of ``count`` requests; about ``count * (size + 1)`` bytes."""
    path = folder / f"batch-{count}-{size}.json"
    if not path.exists():
        path.write_bytes(b'{"requests":[' + b",".join(requests(count, size)) + b"]}")
    return path


def request_lines(folder: Path, count: int, size: int) -> Path:
    """Return a JSONL file with the same requests."""
    path = folder / f"requests-{count}-{size}.jsonl"
    if not path.exists():
        path.write_bytes(b"\n".join(requests(count, size)) + b"\n")
    return path
