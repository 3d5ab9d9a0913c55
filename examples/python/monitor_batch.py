"""Show the progress of a batch as a percentage: monitor_batch.py [BATCH_ID]."""

import os
import sys
import time

import anthropic
from anthropic.types.messages.batch_create_params import Request

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))

client = anthropic.Anthropic()


def monitor_batch(batch_id: str) -> None:
    """Print the progress until the batch has ended."""
    while True:
        batch = client.messages.batches.retrieve(batch_id)
        counts = batch.request_counts
        # Canceled and expired requests count too. A guide that leaves them out divides by too little.
        completed = counts.succeeded + counts.errored + counts.canceled + counts.expired
        total = completed + counts.processing
        print(f"Progress: {completed / total:.1%} ({completed}/{total})")

        if batch.processing_status == "ended":
            return
        # Counts move here while the batch runs. A server may also keep them still until the end.
        time.sleep(POLL_SECONDS)


def some_batch() -> str:
    requests: list[Request] = [
        {
            "custom_id": f"haiku-{number}",
            "params": {
                "model": "claude-haiku-4-5-20251001",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": f"Write a haiku about the number {number}."}],
            },
        }
        for number in range(300)
    ]
    return client.messages.batches.create(requests=requests).id


monitor_batch(sys.argv[1] if len(sys.argv) > 1 else some_batch())
