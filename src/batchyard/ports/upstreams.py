"""What the core asks of a model server."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from batchyard.domain.catalog import ModelInfo
from batchyard.domain.outcome import Outcome


def nobody_listens() -> None:
    """Do nothing."""


def always() -> bool:
    """Say yes."""
    return True


class Call(msgspec.Struct, frozen=True, gc=False):
    """One attempt as an upstream sees it: the client's params, byte for byte, and the batch's version and betas.

    ``is_wanted`` is asked at the last moment before it is sent, when a connection is there: a call that is wanted no
    more (its batch was canceled while we connected) is ``NotStarted``. ``heard`` is told, where the answer is
    streamed to us, when its first token has come. ``traceparent`` names the span of the client that waits for it, and
    goes no further than our own spans.
    """

    params: bytes
    version: str
    betas: tuple[str, ...] = ()
    batched: bool = True
    is_wanted: Callable[[], bool] = always
    heard: Callable[[], None] = nobody_listens
    traceparent: str = ""


class Stream(Protocol):
    """An answer that has begun: its server-sent events as they come, for one reader. The reader closes it."""

    async def read(self) -> bytes | Outcome:
        """Return the next bytes; none of them at the whole stream's end, or the outcome that a break amounts to.

        What is not read is not fetched: little is held. Once it has ended, every read says the same.
        """

    async def close(self) -> None:
        """Cut the call if it has not ended. Closing twice is allowed."""


class Calls(Protocol):
    """What API calls ask of a lane, ahead of batches. Raises nothing for what a server or a network does.

    ``attempt`` and ``stream`` wait for a slot, not for long: a lane that is held or full is ``NotStarted``.
    """

    async def attempt(self, call: Call) -> Outcome:
        """Make the call once and say what came of it. Cancelling it cuts the call.

        An ``Answered`` is a whole Message that was judged; its bytes are on one line.
        """

    async def stream(self, call: Call) -> Stream | Outcome:
        """Make the call once, for params that ask for a stream; an outcome if no stream began. It is never answered."""

    async def count(self, call: Call) -> int | Outcome:
        """Return how many input tokens the body of a count is. Takes no slot; never answered."""

    async def models(self) -> Sequence[ModelInfo] | Outcome:
        """Return the models that can be named, newest first; none where the server keeps no list."""


class Upstream(Calls, Protocol):
    """A model server. Its calls are made at once: who may make one is for the caller to know."""

    async def close(self) -> None:
        """Let go of connections."""
