"""Builders for tests: each supplies what a test is not about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zlib import crc32

from batchyard.domain.batch import Sealed
from batchyard.domain.outcome import Finish, Retry, Trace
from batchyard.domain.quota import NO_QUOTA, Quota
from batchyard.domain.request import Drafts, Lease, Origin
from batchyard.domain.result import Errored, RequestError, Succeeded
from batchyard.ports import NewBatch

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MODEL = "simulator"
DAY = timedelta(hours=24)
_MICROSECOND = timedelta(microseconds=1)


def later(seconds: float) -> datetime:
    """Return that many seconds after ``NOW``."""
    return NOW + timedelta(seconds=seconds)


def micros(moment: datetime) -> int:
    """Return the microseconds since 1970, as ``Origin.began_at`` has them."""
    return (moment - datetime.fromtimestamp(0, UTC)) // _MICROSECOND


def a_batch(
    workspace: str = "w1",
    *,
    created_at: datetime = NOW,
    expires_after: timedelta = DAY,
    version: str = "2023-06-01",
    betas: tuple[str, ...] = (),
    body: str = "b1.body",
    quota: Quota = NO_QUOTA,
    traceparent: str = "",
) -> NewBatch:
    return NewBatch(
        workspace=workspace,
        created_at=created_at,
        expires_at=created_at + expires_after,
        version=version,
        betas=betas,
        body=body,
        quota=quota,
        traceparent=traceparent,
    )


def params(seq: int) -> bytes:
    """Return the params of request ``seq`` of ``drafts``."""
    return b'{"model":"simulator","max_tokens":9,"messages":[{"role":"user","content":"%d"}]}' % seq


def body(requests: int) -> bytes:
    """Return the body blob that ``drafts(requests)`` points into."""
    return b"".join(params(seq) for seq in range(requests))


def drafts(requests: int, *, models: Sequence[str] = (MODEL,), prefixes: Sequence[int] = (0,)) -> Drafts:
    """Return that many drafts, r0, r1, …; their params lie one behind the other in ``body``.

    Models and prefixes are dealt out in turn.
    """
    packed = Drafts()
    offset = 0
    for seq in range(requests):
        text = params(seq)
        model, prefix = models[seq % len(models)], prefixes[seq % len(prefixes)]
        packed.add(f"r{seq}", offset, len(text), crc32(text), prefix=prefix, model=model)
        offset += len(text)
    return packed


def origin(
    caller: str = "key-1",
    *,
    sent: str = "one body",
    began_at: datetime = NOW,
    retry: int = 0,
    idempotency_key: str | None = None,
) -> Origin:
    """Return where a create came from; ``sent`` stands for its body."""
    digest = sha256(sent.encode()).hexdigest()
    return Origin(caller, digest, micros(began_at), retry=retry, idempotency_key=idempotency_key)


def a_trace(outcome: str = "answered", *, at: datetime = NOW, reason: str = "") -> Trace:
    """Return a line of the ledger: an attempt of one second that ended then."""
    return Trace(outcome, at - timedelta(seconds=1), at, reason)


def succeeded(lease: Lease, message: bytes = b'{"type":"message"}', *, at: datetime = NOW) -> Finish:
    """Return the settlement of an answered attempt."""
    return Finish(lease, Succeeded(message), a_trace(at=at))


def errored(lease: Lease, message: str = "no such model", *, at: datetime = NOW) -> Finish:
    """Return the settlement of a refused attempt."""
    error = RequestError("not_found_error", message)
    return Finish(lease, Errored(error), a_trace("refused", at=at, reason=error.type))


def retried(lease: Lease, ready_at: datetime, *, at: datetime = NOW) -> Retry:
    """Return the settlement of an attempt that was never begun: free."""
    trace = a_trace("notstarted", at=at, reason="overloaded_error")
    return Retry(lease, ready_at, trace, lease.paid, lease.failures, lease.unknowns)


def failed(lease: Lease, ready_at: datetime, *, at: datetime = NOW) -> Retry:
    """Return the settlement of a paid attempt whose end nobody knows."""
    trace = a_trace("unknown", at=at, reason="api_error")
    return Retry(lease, ready_at, trace, lease.paid + 1, lease.failures + 1, lease.unknowns + 1)


def sealed_files(name: str = "s1") -> Sealed:
    """Return the names of a batch's sealed files."""
    return Sealed(f"{name}.results", f"{name}.index", f"{name}.ledger", 7, sha256(name.encode()).hexdigest())
