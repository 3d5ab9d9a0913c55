"""Collect the results of a batch by custom_id: process_results.py [BATCH_ID]."""

import anthropic
from sample import ended_batch_id_from_arguments, text_of

client = anthropic.Anthropic()
batch_id = ended_batch_id_from_arguments(client)

results_by_id: dict[str, str] = {}
for response in client.messages.batches.results(batch_id):
    if response.result.type == "succeeded":
        results_by_id[response.custom_id] = text_of(response.result.message)
    elif response.result.type == "errored":
        # error.error.message, not error.message: see get_results.py.
        results_by_id[response.custom_id] = f"Error: {response.result.error.error.message}"
    else:
        results_by_id[response.custom_id] = f"Not done: {response.result.type}"

# The service promises no order, so look results up by their id. (Batchyard keeps the order of the requests.)
for custom_id, text in sorted(results_by_id.items()):
    print(f"{custom_id} -> {text}")
print(f"{len(results_by_id)} results")
