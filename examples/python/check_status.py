"""Look at a batch once: check_status.py [BATCH_ID]."""

import anthropic
from sample import batch_id_from_arguments

client = anthropic.Anthropic()
batch = client.messages.batches.retrieve(batch_id_from_arguments(client))

# The total is the sum of all five counts. Guides that add only two of them are wrong as soon as one request fails.
counts = batch.request_counts
total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired

print(f"Status: {batch.processing_status}")
print(f"Succeeded: {counts.succeeded}/{total}")
print(f"Errored: {counts.errored}")
print(f"Canceled: {counts.canceled}")
print(f"Expired: {counts.expired}")
