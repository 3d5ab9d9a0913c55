"""Print the results of a batch: get_results.py [BATCH_ID]. There are four kinds of result."""

import anthropic
from sample import ended_batch_id_from_arguments, text_of

client = anthropic.Anthropic()
batch_id = ended_batch_id_from_arguments(client)

for response in client.messages.batches.results(batch_id):
    if response.result.type == "succeeded":
        print(f"{response.custom_id}: {text_of(response.result.message)}")
    elif response.result.type == "errored":
        # The error is a whole error envelope, so the text is at error.error.message. Guides that read
        # result.error.message are wrong against the SDK's types; Batchyard repeats the text there for such code.
        print(f"{response.custom_id}: Error - {response.result.error.error.message}")
    else:
        print(f"{response.custom_id}: {response.result.type}")  # canceled or expired: never begun, not billed
