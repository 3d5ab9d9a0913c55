"""Cancel a batch: cancel_batch.py [BATCH_ID]. What is done keeps its result, the rest becomes canceled."""

import os
import sys
import time

import anthropic
from anthropic.types.messages.batch_create_params import Request

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))

client = anthropic.Anthropic()


def some_batch() -> str:
    requests: list[Request] = [
        {
            "custom_id": f"story-{number}",
            "params": {
                "model": "claude-haiku-4-5-20251001",
                "max_tokens": 400,
                "messages": [{"role": "user", "content": f"Tell a story about a lighthouse in {number} sentences."}],
            },
        }
        for number in range(1, 1001)
    ]
    return client.messages.batches.create(requests=requests).id


batch = client.messages.batches.cancel(sys.argv[1] if len(sys.argv) > 1 else some_batch())
print(f"Status: {batch.processing_status}")  # "canceling": calls in flight are waited for, then it is "ended"

while batch.processing_status != "ended":
    time.sleep(POLL_SECONDS)
    batch = client.messages.batches.retrieve(batch.id)

print(f"Status: {batch.processing_status}")
print(f"Succeeded: {batch.request_counts.succeeded}")
print(f"Canceled: {batch.request_counts.canceled}")

try:
    client.messages.batches.cancel(batch.id)
except anthropic.BadRequestError:
    print("A batch that has ended can no longer be canceled.")
