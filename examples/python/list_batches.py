"""List batches, newest first: every page by iteration, or page by page."""

import anthropic
from sample import batch_id_from_arguments

client = anthropic.Anthropic()
for _ in range(3):
    batch_id_from_arguments(client)

# Iterating asks for one page after the other. ``limit`` is the size of a page, not of the whole list.
listed = 0
for batch in client.messages.batches.list(limit=2):
    print(f"{batch.id}: {batch.processing_status}")
    listed += 1
print(f"Listed: {listed}")

# The same by hand.
page = client.messages.batches.list(limit=2)
print("First page:", *(batch.id for batch in page.data))
if page.has_next_page():
    next_page = page.get_next_page()
    print("Next page:", *(batch.id for batch in next_page.data))
