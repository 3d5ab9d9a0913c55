"""What an ended batch left over, as a new batch: of an input that has its requests, or by a server that kept them.

Its idempotency key follows from what is in it: asked for twice, a server that knows such keys makes one batch.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from batchyard.client.api import Api
from batchyard.client.download import Download
from batchyard.client.errors import RefusedByServer, WrongUse
from batchyard.client.limits import Limits, Part
from batchyard.client.lines import custom_id_of
from batchyard.client.replies import MessageBatch
from batchyard.client.retries import may_be_sent_again
from batchyard.client.source import PartBody, check, request_lines

NOT_THERE = (404, 405)


@dataclass(slots=True)
class Failures:
    """The requests of a batch that are to be sent again; ``left_out`` counts the failures that are not, by type."""

    batch_id: str
    custom_ids: set[str] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


async def failures_of(api: Api, batch_id: str, *, every: bool) -> Failures:
    """Return what may succeed the next time, or with ``every`` all that did not succeed, of a batch that has ended."""
    batch = await api.retrieve(batch_id)
    if not batch.has_ended:
        raise WrongUse(f"{batch_id} has not ended: `batchyard watch {batch_id}` waits for it")
    found = Failures(batch_id)
    if batch.request_counts.succeeded == batch.request_counts.total:
        return found
    async for _, known in Download(api, batch_id).lines():
        if known.result.type == "succeeded":
            continue
        if every or may_be_sent_again(known):
            found.custom_ids.add(known.custom_id)
            found.taken[known.result.type] += 1
        else:
            found.left_out[known.result.type] += 1
    return found


@contextmanager
def body_of(failures: Failures, source: BinaryIO, parts: tuple[Part, ...], name: str) -> Iterator[tuple[PartBody, str]]:
    """Give the body of a batch of these requests, taken from an input, and its idempotency key."""
    missing = set(failures.custom_ids)
    with tempfile.TemporaryFile() as file:
        for part in parts:
            for _, line in request_lines(source, part):
                if (custom_id := custom_id_of(line)) in missing:
                    missing.remove(custom_id)
                    file.write(line + b"\n")
        if missing:
            raise WrongUse(
                f"{name} lacks {len(missing)} of the requests, such as {min(missing)!r}: "
                f"give the input that {failures.batch_id} was made of"
            )
        plan = check(file, name, Limits())
        if len(plan.parts) > 1:
            raise WrongUse(f"{name}: what is to be sent again is too large for one batch")
        yield PartBody(file, plan.parts[0]), f"batchyard-retry-{failures.batch_id}-{plan.sha256[:32]}"


async def rerun(api: Api, failures: Failures) -> MessageBatch:
    """Have a server make the batch of the requests that it has kept; ``WrongUse`` where it keeps none."""
    kinds = sorted(failures.taken)
    mixed = sum(failures.left_out[kind] for kind in kinds)
    if mixed:
        raise WrongUse(
            f"{mixed} of what errored would fail again, and the server cannot leave them out: "
            "name the INPUT that the batch was made of, or send all again with --all"
        )
    try:
        return await api.rerun(
            failures.batch_id, kinds, idempotency_key=f"batchyard-rerun-{failures.batch_id}-{'-'.join(kinds)}"
        )
    except RefusedByServer as refused:
        if refused.status in NOT_THERE:
            raise WrongUse(
                f"this server keeps no requests: name the INPUT that {failures.batch_id} was made of"
            ) from None
        raise
