"""Errors of single requests, and what to do about them: mend, send again, or give up."""

import os
import time
from collections.abc import Sequence

import anthropic
from anthropic.types import ErrorObject
from anthropic.types.messages import MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))
WORTH_A_RETRY = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}

client = anthropic.Anthropic()


def a_request(custom_id: str, question: str, *, model: str = "claude-haiku-4-5-20251001", most: int = 200) -> Request:
    return {
        "custom_id": custom_id,
        "params": {"model": model, "max_tokens": most, "messages": [{"role": "user", "content": question}]},
    }


def ended(requests: Sequence[Request]) -> str:
    """Create a batch, wait for its end, return its id."""
    batch = client.messages.batches.create(requests=requests)
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        time.sleep(POLL_SECONDS)
    return batch.id


def process_success(response: MessageBatchIndividualResponse) -> None:
    print(f"{response.custom_id}: done")


def log_error(custom_id: str, error: ErrorObject) -> None:
    print(f"{custom_id}: {error.type}: {error.message}")


# The create is answered before any params are judged: a wrong request is an errored line, not an exception.
requests = [
    a_request("fine", "Name three rivers of Asia."),
    a_request("no-room", "Name three rivers of Africa.", most=0),
    a_request("no-model", "Name three rivers of Europe.", model="no-such-model"),
    # The text in double brackets asks Batchyard's simulator for an error; a model would only wonder about it.
    a_request("bad-luck", "[[simulate: overloaded_error]] Name three rivers of America."),
]

to_send_again: list[str] = []
for response in client.messages.batches.results(ended(requests)):
    if response.result.type == "succeeded":
        process_success(response)
    elif response.result.type == "errored":
        # The envelope is nested: the type that says what happened is error.error.type; error.type is always "error".
        log_error(response.custom_id, response.result.error.error)
        if response.result.error.error.type in WORTH_A_RETRY:
            to_send_again.append(response.custom_id)
    else:
        to_send_again.append(response.custom_id)

if to_send_again:
    print(f"Sent again: {', '.join(to_send_again)}")
    again = [a_request(custom_id, "Name three rivers of America.") for custom_id in to_send_again]
    for response in client.messages.batches.results(ended(again)):
        print(f"{response.custom_id}: {response.result.type} the second time")

# What is wrong with the batch itself is an exception.
try:
    client.messages.batches.create(requests=[requests[0], requests[0]])
except anthropic.APIStatusError as refused:
    print(f"The create was refused with {refused.status_code}: an id stood in it twice")
