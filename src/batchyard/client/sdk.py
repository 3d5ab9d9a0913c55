"""Helpers for programs that use an official SDK: requests cut into batches, failures sent again, answers joined.

Requests and results may be those of any SDK, typed or plain: an attribute and a key of the same name are the same here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from batchyard.client.errors import BadInput
from batchyard.client.limits import HEAD, TAIL, Limits
from batchyard.client.retries import PASSING

Row = TypeVar("Row")
Request = TypeVar("Request")
Result = TypeVar("Result")


def batches_of(requests: Iterable[Request], limits: Limits | None = None) -> Iterator[list[Request]]:
    """Yield the requests in lists that one create each takes: by count, and by the bytes of their JSON.

    Raises ``BadInput`` for a custom_id that comes twice in all, and for a request too large for any batch.
    """
    limits = limits or Limits()
    batch: list[Request] = []
    size, seen = len(HEAD) + len(TAIL), set[str]()
    for place, request in enumerate(requests, start=1):
        custom_id = str(_of(request, "custom_id"))
        if custom_id in seen:
            raise BadInput([f"request {place}: custom_id {custom_id!r} came already"])
        seen.add(custom_id)
        bytes_ = len(msgspec.json.encode(request, enc_hook=_plain)) + 1
        if bytes_ + len(HEAD) + len(TAIL) > limits.body_bytes:
            raise BadInput([f"request {place}: too large for any batch: the limit is {limits.body_bytes} bytes"])
        if batch and (len(batch) == limits.requests or size + bytes_ > limits.body_bytes):
            yield batch
            batch, size = [], len(HEAD) + len(TAIL)
        batch.append(request)
        size += bytes_
    if batch:
        yield batch


def may_be_sent_again(result: Any) -> bool:
    """Whether the request of this result was not answered, for a reason that passes. It was not billed."""
    outcome = _of(result, "result")
    match _of(outcome, "type"):
        case "expired":
            return True
        case "errored":
            error = _of(outcome, "error")
            while (inner := _of(error, "error", None)) is not None:
                error = inner
            return _of(error, "type", None) in PASSING
    return False


def to_send_again(requests: Iterable[Request], results: Iterable[Any]) -> list[Request]:
    """Return the requests whose results are worth another try, in their order."""
    again = {_of(result, "custom_id") for result in results if may_be_sent_again(result)}
    return [request for request in requests if _of(request, "custom_id") in again]


def join(
    rows: Iterable[Row], results: Iterable[Result], custom_id: Callable[[Row], str]
) -> Iterator[tuple[Row, Result | None]]:
    """Yield each row with its result, in the order of the rows; None where there is none.

    ``custom_id`` says which request was made of a row. Results come in any order.
    """
    by_id = {_of(result, "custom_id"): result for result in results}
    for row in rows:
        yield row, by_id.get(custom_id(row))


def _of(holder: Any, name: str, *otherwise: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(name, *otherwise) if otherwise else holder[name]
    return getattr(holder, name, *otherwise)


def _plain(value: Any) -> Any:
    """Return what the SDKs' own models hold, for those that are no dicts."""
    return value.model_dump(mode="json", exclude_unset=True)
