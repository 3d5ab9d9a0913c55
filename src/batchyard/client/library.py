"""A whole job from a program or a notebook: requests in, results out in their order, with the promises of the command.

Each part becomes one batch, what may succeed is sent again, and memory does not grow with the job. With ``state`` the
job outlives the program: the same call goes on where it stopped.
"""

import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from batchyard.client.answers import extracted
from batchyard.client.api import Api
from batchyard.client.budget import Budget
from batchyard.client.errors import WrongUse
from batchyard.client.events import Event, Waiting
from batchyard.client.intakes import Intake
from batchyard.client.job import Job, begun
from batchyard.client.limits import Limits
from batchyard.client.output import Shape
from batchyard.client.prices import Prices, own_prices
from batchyard.client.rounds import Final
from batchyard.client.source import check

Request = Mapping[str, Any]
"""``{"custom_id": …, "params": {…}}``, as in a create."""

Fate = Literal["succeeded", "errored", "canceled", "expired"]

_line = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one request. ``raw`` is the server's line as it came, without its end."""

    custom_id: str
    type: Fate
    params: dict[str, Any]
    message: dict[str, Any] | None
    """The answer, where it succeeded."""
    error: dict[str, Any] | None
    """``type`` and ``message`` of the innermost error, where it errored."""
    raw: bytes

    @property
    def text(self) -> str:
        """The text of the answer, "" where there is none."""
        return "" if self.message is None else str(extracted(self.message, "text"))

    def json(self) -> Any:
        """Return the JSON that the answer's text is, with or without a fence around it; ``ValueError`` if none."""
        return extracted(self.message or {}, "json")

    def tool_input(self) -> Any:
        """Return what the first tool was called with; ``ValueError`` if none was."""
        return extracted(self.message or {}, "tool")


async def run(
    requests: Iterable[Request] | AsyncIterable[Request],
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    retries: int = 2,
    limits: Limits | None = None,
    max_cost: float | Decimal | None = None,
    prices: Mapping[str, str] | None = None,
    progress: Callable[[Event], None] | None = None,
) -> AsyncIterator[Result]:
    """Yield the result of each request, in their order.

    Server and key are those that the official SDKs take: ``ANTHROPIC_BASE_URL`` and ``ANTHROPIC_API_KEY``, if not
    given. ``state`` is where the job is kept while it goes on (``STATE.batchyard`` and a folder beside it): without it
    a program that ends early leaves its batches to the server. ``max_cost`` is in US dollars;
    ``prices`` are those of your own models, ``{"my-model": "IN/OUT"}`` in dollars for a million tokens. ``progress``
    hears of each event of ``batchyard.client.events``.

    Raises ``BadInput`` with all wrong requests, before anything is sent; ``WrongUse``; ``ServerError``.
    """
    url, key = _server(base_url, api_key)
    kept = None if state is None else Path(state)
    limits = limits or Limits()
    budget = None if max_cost is None else Budget(Decimal(str(max_cost)), _prices(prices or {}))
    with ExitStack() as files:
        file = files.enter_context(tempfile.TemporaryFile(dir=None if kept is None else kept.parent))
        await _written(requests, file)
        intake = Intake(file, check(file, "requests", limits), None, None)
        job = Job("requests", limits=limits, retries=retries, budget=budget)
        work = files.enter_context(begun(job, intake, url, kept=kept, shape=Shape()))
        tell = progress or _nobody
        async with Api(url, key, on_repeat=lambda why, seconds: tell(Waiting(str(why), seconds))) as api:
            finals = await work.finals(api, tell)
        for final in finals:
            yield _result(final)
        work.discard()


def _server(base_url: str | None, api_key: str | None) -> tuple[str, str]:
    """Return where to send what. The environment is read here alone: programs share it with the official SDKs."""
    url, key = base_url or os.environ.get("ANTHROPIC_BASE_URL"), api_key or os.environ.get("ANTHROPIC_API_KEY")
    if not url:
        raise WrongUse("no server is named: give base_url, or set ANTHROPIC_BASE_URL")
    if not url.startswith(("http://", "https://")):
        raise WrongUse(f"base_url {url!r} must begin with http:// or https://")
    if not key:
        raise WrongUse("no key is given: give api_key, or set ANTHROPIC_API_KEY")
    return url.rstrip("/"), key


def _prices(own: Mapping[str, str]) -> Prices:
    try:
        return Prices(own_prices(f"{model}={price}" for model, price in own.items()))
    except ValueError as problem:
        raise WrongUse(f"prices: {problem}") from None


async def _written(requests: Iterable[Request] | AsyncIterable[Request], file: BinaryIO) -> None:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            file.write(_encoded(request))
    else:
        for request in requests:
            file.write(_encoded(request))
    file.flush()


def _encoded(request: Request) -> bytes:
    try:
        return msgspec.json.encode(request) + b"\n"
    except (TypeError, ValueError, RecursionError) as problem:
        raise WrongUse(f"a request cannot be written as JSON: {problem}") from None


def _result(final: Final) -> Result:
    request, line, known = final
    result = _line.decode(line)["result"]
    error = None if known.result.error is None else known.result.error.innermost
    return Result(
        known.custom_id,
        cast(Fate, known.result.type),
        _line.decode(request)["params"],
        result.get("message"),
        None if error is None else {"type": error.type, "message": error.message},
        line,
    )


def _nobody(_event: Event) -> None:
    """Nobody listens."""
