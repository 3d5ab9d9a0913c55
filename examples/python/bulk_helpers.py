"""batchyard.client beside the official SDK: more requests than a batch takes, failures sent again, answers joined."""

import time
from collections.abc import Sequence

from anthropic import Anthropic
from anthropic.types.messages import MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request
from sample import MODEL, POLL_SECONDS

from batchyard.client import Limits, batches_of, join, to_send_again

client = Anthropic()


def results_of(requests: Sequence[Request]) -> list[MessageBatchIndividualResponse]:
    """Run one batch to its end."""
    batch = client.messages.batches.create(requests=requests)
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        time.sleep(POLL_SECONDS)
    return list(client.messages.batches.results(batch.id))


def main() -> None:
    rows = [{"id": f"question-{number}", "text": f"What is {number} times {number}?"} for number in range(25)]
    # The simulator answers what stands in double brackets: here, that it is overloaded.
    rows[3]["text"] += " [[simulate: overloaded_error]]"
    requests = [
        Request(
            custom_id=row["id"],
            params={"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": row["text"]}]},
        )
        for row in rows
    ]

    cut = list(batches_of(requests, Limits(requests=10)))
    print(f"Batches: {len(cut)}")
    results = [result for batch in cut for result in results_of(batch)]

    again = to_send_again(requests, results)
    if again:
        print(f"Sent again: {', '.join(request['custom_id'] for request in again)}")
        repeated = results_of(again)
        results = [one for one in results if one.custom_id not in {two.custom_id for two in repeated}] + repeated

    for row, result in join(rows, results, lambda row: row["id"]):
        print(f"{row['id']}: {result.result.type if result else 'no result'}")


main()
