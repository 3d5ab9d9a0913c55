"""Delete a batch and its results: delete_batch.py [BATCH_ID]. It must have ended."""

import anthropic
from sample import ended_batch_id_from_arguments

client = anthropic.Anthropic()
batch_id = ended_batch_id_from_arguments(client)

deleted = client.messages.batches.delete(batch_id)
print(f"Deleted: {deleted.id}")

try:
    client.messages.batches.retrieve(batch_id)
except anthropic.NotFoundError:
    print("It is gone, and its results with it.")
