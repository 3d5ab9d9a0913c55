"""Wait until a batch has ended: poll_until_complete.py [BATCH_ID]. POLL_SECONDS sets the pace."""

import os
import time

import anthropic
from sample import batch_id_from_arguments

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))  # against a service with a bill: 60 is polite

client = anthropic.Anthropic()
batch_id = batch_id_from_arguments(client)

while True:
    batch = client.messages.batches.retrieve(batch_id)
    if batch.processing_status == "ended":
        break
    print(f"Processing: {batch.request_counts.processing} requests remaining")
    time.sleep(POLL_SECONDS)

print("Batch complete!")
