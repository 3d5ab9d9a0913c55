"""Label two reviews: the smallest batch that does something useful."""

import os
import time

import anthropic
from sample import text_of

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))

client = anthropic.Anthropic()

batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": "review-1",
            "params": {
                "model": "claude-sonnet-4-20250514",
                "max_tokens": 256,
                "messages": [
                    {"role": "user", "content": "Classify: 'Great product!' -> positive/negative/neutral"},
                ],
            },
        },
        {
            "custom_id": "review-2",
            "params": {
                "model": "claude-sonnet-4-20250514",
                "max_tokens": 256,
                "messages": [
                    {"role": "user", "content": "Classify: 'Terrible, do not buy' -> positive/negative/neutral"},
                ],
            },
        },
    ]
)

print(f"Batch ID: {batch.id}")
print(f"Status: {batch.processing_status}")

while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    time.sleep(POLL_SECONDS)

for response in client.messages.batches.results(batch.id):
    if response.result.type == "succeeded":
        print(f"{response.custom_id}: {text_of(response.result.message)}")
    else:
        print(f"{response.custom_id}: {response.result.type}")
