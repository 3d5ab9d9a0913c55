"""Thousands of requests in one batch: large_scale.py [HOW_MANY]. The results go to a file as they arrive."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import anthropic
from anthropic.types.messages.batch_create_params import Request

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))
# One batch takes up to 100,000 requests and 256 MB. Some guides still say 10,000, which was the limit once.
HOW_MANY = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000

client = anthropic.Anthropic()

questions = [f"Is {number} a prime number? Answer yes or no, then give a reason." for number in range(2, HOW_MANY + 2)]

requests: list[Request] = []
for i, question in enumerate(questions):
    requests.append(
        {
            "custom_id": f"question-{i}",
            "params": {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 1024,
                "messages": [{"role": "user", "content": question}],
            },
        }
    )

batch = client.messages.batches.create(requests=requests)
print(f"Batch {batch.id}: {len(requests)} requests")

while True:
    batch = client.messages.batches.retrieve(batch.id)
    if batch.processing_status == "ended":
        break
    print(f"{batch.request_counts.succeeded} done, {batch.request_counts.processing} to go")
    time.sleep(POLL_SECONDS)

saved = 0
path = Path(tempfile.mkdtemp(prefix="large-scale-")) / "results.jsonl"
with path.open("w", encoding="utf-8") as file:
    for response in client.messages.batches.results(batch.id):  # a stream: it is never whole in memory
        result = {"id": response.custom_id, "result": response.result.model_dump(mode="json")}
        file.write(json.dumps(result) + "\n")
        saved += 1

print(f"Saved {saved} results to {path}")
