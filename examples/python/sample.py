"""What the other examples share: a small batch to look at when no id is given, and the text of a Message."""

import os
import sys
import time

from anthropic import Anthropic
from anthropic.types import Message

MODEL = "claude-haiku-4-5-20251001"
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))

QUESTIONS = {
    "question-tides": "Why are there two tides a day?",
    "question-bread": "What makes bread rise?",
    "question-rust": "Why does iron rust and gold not?",
}


def batch_id_from_arguments(client: Anthropic) -> str:
    """Return the id on the command line, or that of a small batch made now."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    batch = client.messages.batches.create(
        requests=[
            {
                "custom_id": custom_id,
                "params": {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": question}]},
            }
            for custom_id, question in QUESTIONS.items()
        ]
    )
    return batch.id


def ended_batch_id_from_arguments(client: Anthropic) -> str:
    """Return the same, once the batch has ended: results and delete need that."""
    batch_id = batch_id_from_arguments(client)
    while client.messages.batches.retrieve(batch_id).processing_status != "ended":
        time.sleep(POLL_SECONDS)
    return batch_id


def text_of(message: Message) -> str:
    """Return the text blocks as one text. The first block need not be text: it may be thinking or a tool use."""
    return "".join(block.text for block in message.content if block.type == "text")
