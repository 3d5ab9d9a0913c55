"""Ids that say what a request is for, so that a result finds its way back without a table beside it."""

import os
import re
import time

import anthropic
from anthropic.types.messages.batch_create_params import Request

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))
# The rule of the service, which many guides leave out: another character, or a 65th, and the create is refused.
ALLOWED = re.compile(r"[a-zA-Z0-9_-]{1,64}")

client = anthropic.Anthropic()

asked = {
    ("u17", "q1"): "How do I reset my password?",
    ("u17", "q2"): "Can I have my invoices by post?",
    ("u23", "q1"): "Do you deliver to islands?",
}

requests: list[Request] = []
for (user_id, question_id), question in asked.items():
    custom_id = f"user-{user_id}-question-{question_id}"
    assert ALLOWED.fullmatch(custom_id), custom_id
    requests.append(
        {
            "custom_id": custom_id,
            "params": {
                "model": "claude-haiku-4-5-20251001",
                "max_tokens": 200,
                "messages": [{"role": "user", "content": question}],
            },
        }
    )

batch = client.messages.batches.create(requests=requests)
while client.messages.batches.retrieve(batch.id).processing_status != "ended":
    time.sleep(POLL_SECONDS)

for response in client.messages.batches.results(batch.id):
    _, user_id, _, question_id = response.custom_id.split("-")
    print(f"User {user_id}, question {question_id} ({asked[user_id, question_id]!r}): {response.result.type}")

try:
    client.messages.batches.create(requests=[{**requests[0], "custom_id": "user 17: question 1"}])
except anthropic.BadRequestError as refused:
    print(f"Refused: {refused.status_code}")
