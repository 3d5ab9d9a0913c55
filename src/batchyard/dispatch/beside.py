"""Work on a request's params: beside the event loop where they are large, for it would stand still meanwhile."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec

from batchyard.dispatch.held import LARGE_BYTES
from batchyard.domain.request import LONGEST_MODEL, kept_name

T = TypeVar("T")


class _Named(msgspec.Struct):
    model: str = ""


_named = msgspec.json.Decoder(_Named)


async def beside(size: int, work: Callable[..., T], *given: object) -> T:
    """Return what the work comes to; ``size`` is how many bytes it goes through."""
    return await asyncio.to_thread(work, *given) if size >= LARGE_BYTES else work(*given)


async def model_of(params: bytes) -> str:
    """Return the model that params name; nothing where they name none that is text."""
    return await beside(len(params), _model_of, params)


async def kept_model_of(message: bytes) -> str:
    """Return the model that params or a Message name, as it is kept in the accounts: of one too long the beginning,
    for an upstream that knows it by another name may take it."""
    return kept_name((await model_of(message)).replace("\0", "")[:LONGEST_MODEL])


def _model_of(params: bytes) -> str:
    try:
        return _named.decode(params).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
