"""The leaner loop: aiohttp, ``gather`` and a semaphore.

python -m bench.aiohttp_loop http://127.0.0.1:8000 requests.jsonl results.jsonl 64
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import aiohttp


async def run(session: aiohttp.ClientSession, requests: list[dict[str, Any]], results: TextIO, in_flight: int) -> int:
    """Make every call, at most ``in_flight`` at a time; return how many succeeded."""
    semaphore = asyncio.Semaphore(in_flight)

    async def one(request: dict[str, Any]) -> bool:
        async with semaphore, session.post("/v1/messages", json=request["params"]) as response:
            answer = await response.json()
        if response.status == 200:
            result = {"type": "succeeded", "message": answer}
        else:
            result = {"type": "errored", "error": answer}
        results.write(json.dumps({"custom_id": request["custom_id"], "result": result}) + "\n")
        return response.status == 200

    return sum(await asyncio.gather(*[one(request) for request in requests]))


async def main() -> None:
    url, source, target, in_flight = sys.argv[1:]
    began, cpu = time.perf_counter(), time.process_time()
    requests = [json.loads(line) for line in Path(source).read_text().splitlines()]
    headers = {"x-api-key": "bench", "anthropic-version": "2023-06-01"}
    # aiohttp's own limit is 100 connections; without this line the semaphore would not be what limits.
    connector = aiohttp.TCPConnector(limit=int(in_flight))
    with Path(target).open("w") as results:
        async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
            succeeded = await run(session, requests, results, int(in_flight))
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - began}
    print(json.dumps({"requests": len(requests), "succeeded": succeeded, **spent}))


if __name__ == "__main__":
    asyncio.run(main())
