"""A whole life of batches with whatever ``anthropic`` this interpreter has. Run as a process: URL and namespace.

It changes nothing but base URL and key, and prints as JSON what it saw and what the SDK sent.
"""

import json
import sys
import time
from typing import Any

import anthropic

DEADLINE_SECONDS = 60


def a_request(custom_id: str, max_tokens: int = 20) -> Any:
    messages = [{"role": "user", "content": f"Say hello to {custom_id}"}]
    return {
        "custom_id": custom_id,
        "params": {"model": "claude-haiku-4-5-20251001", "max_tokens": max_tokens, "messages": messages},
    }


def ended(batches: Any, batch_id: str) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (batch := batches.retrieve(batch_id)).processing_status != "ended":
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def refusal(call: Any, *arguments: Any) -> list[Any]:
    try:
        call(*arguments)
    except anthropic.APIStatusError as error:
        return [type(error).__name__, error.status_code]
    return []


def deleting(client: Any, batches: Any) -> Any:
    """Return the SDK's delete; the first releases had none, so theirs is its plain HTTP call."""
    if hasattr(batches, "delete"):
        return lambda batch_id: batches.delete(batch_id).type
    return lambda batch_id: client.delete(f"/v1/messages/batches/{batch_id}", cast_to=object)["type"]


def life(batches: Any, delete: Any) -> dict[str, Any]:
    """Create, page, poll, read, cancel, delete."""
    seen: dict[str, Any] = {}
    made = [batches.create(requests=[a_request("good"), a_request("bad", max_tokens=0)]) for _ in range(5)]
    ids = [batch.id for batch in made]
    seen["created"] = [made[0].type, made[0].processing_status, made[0].request_counts.processing]
    seen["pages"] = [batch.id for batch in batches.list(limit=2)] == ids[::-1]
    seen["older"] = [batch.id for batch in batches.list(limit=2, after_id=ids[2])] == ids[1::-1]
    seen["newer"] = sorted(batch.id for batch in batches.list(limit=1, before_id=ids[2])) == ids[3:]
    first = ended(batches, ids[0])
    seen["counts"] = [first.request_counts.succeeded, first.request_counts.errored, first.request_counts.processing]
    good, bad = batches.results(ids[0])
    seen["good"] = [good.custom_id, good.result.type, good.result.message.content[0].type]
    seen["bad"] = [bad.custom_id, bad.result.type, bad.result.error.error.type, bad.result.error.error.message]
    seen["text beside the error"] = bad.result.error.message == bad.result.error.error.message
    return {**seen, **cancel_and_delete(batches, delete, ids[0])}


def cancel_and_delete(batches: Any, delete: Any, over: str) -> dict[str, Any]:
    long = batches.create(requests=[a_request(f"r{number}") for number in range(200)])
    seen: dict[str, Any] = {"delete while it runs": refusal(delete, long.id)}
    canceling = batches.cancel(long.id)
    seen["cancel"] = [canceling.processing_status, canceling.cancel_initiated_at is not None]
    last = ended(batches, long.id)
    kinds = [line.result.type for line in batches.results(long.id)]
    seen["canceled"] = [len(kinds), kinds[-1], kinds.count("canceled") == last.request_counts.canceled]
    seen["cancel at the end"] = refusal(batches.cancel, over)
    seen["delete"] = delete(over)
    seen["after delete"] = refusal(batches.retrieve, over)
    return seen


def main() -> None:
    url, namespace = sys.argv[1:]
    sent: list[dict[str, Any]] = []

    def record(call: Any) -> None:
        names = ("x-api-key", "authorization", "anthropic-version", "anthropic-beta", "accept", "content-type")
        headers = {name: call.headers[name] for name in names if name in call.headers}
        query = call.url.query.decode()
        sent.append({"method": call.method, "path": call.url.path, "query": query, **headers})

    transport = anthropic.DefaultHttpxClient(event_hooks={"request": [record]})
    client = anthropic.Anthropic(base_url=url, api_key="a-key", http_client=transport)
    batches = client.messages.batches if namespace == "messages" else client.beta.messages.batches
    seen = life(batches, deleting(client, batches))
    sys.stdout.write(json.dumps({"version": anthropic.__version__, "seen": seen, "sent": sent}))


if __name__ == "__main__":
    main()
