"""The whole path with the asynchronous client."""

import asyncio
import os

from anthropic import AsyncAnthropic
from anthropic.types.messages import MessageBatchIndividualResponse

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))


async def main() -> list[MessageBatchIndividualResponse]:
    client = AsyncAnthropic()

    batch = await client.messages.batches.create(
        requests=[
            {
                "custom_id": f"capital-{country.lower()}",
                "params": {
                    "model": "claude-haiku-4-5-20251001",
                    "max_tokens": 100,
                    "messages": [{"role": "user", "content": f"What is the capital of {country}?"}],
                },
            }
            for country in ("Peru", "Kenya", "Norway")
        ]
    )

    while True:
        batch = await client.messages.batches.retrieve(batch.id)
        if batch.processing_status == "ended":
            break
        await asyncio.sleep(POLL_SECONDS)

    # results() must be awaited: it is a coroutine that gives something to iterate over. Guides that write
    # ``async for response in client.messages.batches.results(batch.id)`` raise a TypeError.
    results = []
    async for response in await client.messages.batches.results(batch.id):
        results.append(response)
    return results


for response in asyncio.run(main()):
    print(f"{response.custom_id}: {response.result.type}")
