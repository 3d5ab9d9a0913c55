"""What most people write first: the official SDK's asynchronous client, ``gather`` and a semaphore.

python -m bench.sdk_loop http://127.0.0.1:8000 requests.jsonl results.jsonl 64
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from anthropic import AnthropicError, AsyncAnthropic


async def run(client: AsyncAnthropic, requests: list[dict[str, Any]], results: TextIO, in_flight: int) -> int:
    """Make every call, at most ``in_flight`` at a time; return how many succeeded."""
    semaphore = asyncio.Semaphore(in_flight)

    async def one(request: dict[str, Any]) -> bool:
        async with semaphore:
            try:
                message = await client.messages.create(**request["params"])
            except AnthropicError as error:
                result: dict[str, Any] = {"type": "errored", "error": str(error)}
            else:
                result = {"type": "succeeded", "message": message.model_dump(mode="json")}
        results.write(json.dumps({"custom_id": request["custom_id"], "result": result}) + "\n")
        return "message" in result

    return sum(await asyncio.gather(*[one(request) for request in requests]))


async def main() -> None:
    url, source, target, in_flight = sys.argv[1:]
    began, cpu = time.perf_counter(), time.process_time()
    requests = [json.loads(line) for line in Path(source).read_text().splitlines()]
    with Path(target).open("w") as results:
        async with AsyncAnthropic(api_key="bench", base_url=url) as client:
            succeeded = await run(client, requests, results, int(in_flight))
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - began}
    print(json.dumps({"requests": len(requests), "succeeded": succeeded, **spent}))


if __name__ == "__main__":
    asyncio.run(main())
