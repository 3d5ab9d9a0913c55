"""A whole job with batchyard.client: cut into batches, followed, failures sent again, results in order.

Server and key come from ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. With ``state="reviews"`` the job would outlive this
program: started again, it goes on where it stopped.
"""

import asyncio

from batchyard.client import Limits, run
from batchyard.client.events import Created, Event

REVIEWS = [f"Review {number}: works as it should, and came a day late." for number in range(20)]


def requests() -> list[dict[str, object]]:
    return [
        {
            "custom_id": f"review-{number}",
            "params": {
                "model": "claude-haiku-4-5-20251001",
                "max_tokens": 20,
                "messages": [{"role": "user", "content": f"Answer positive, negative or neutral. {review}"}],
            },
        }
        for number, review in enumerate(REVIEWS)
    ]


def tell(event: Event) -> None:
    if isinstance(event, Created):
        print(f"Created {event.batch_id} ({event.number} of {event.batches})")


async def main() -> None:
    succeeded = 0
    async for result in run(requests(), limits=Limits(requests=8), progress=tell):
        print(f"{result.custom_id}: {result.text or result.error}")
        succeeded += result.type == "succeeded"
    print(f"{succeeded} of {len(REVIEWS)} succeeded")


asyncio.run(main())
