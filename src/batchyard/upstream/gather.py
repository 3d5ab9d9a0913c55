"""A streaming lane: the call is made as a stream, and its events are put together to the answer that they tell.

Between the events silence is seen, which a call without a stream keeps for as long as the model works.
"""

from collections.abc import Callable
from typing import Protocol

from batchyard.domain.assemble import Assembly
from batchyard.domain.outcome import Answered, Outcome
from batchyard.ports.upstreams import nobody_listens


class Events(Protocol):
    """A stream of a Message's events whose reader says when it moves on."""

    async def read(self) -> bytes | Outcome: ...

    def moved_on(self) -> None: ...

    async def close(self) -> None: ...


async def gather(
    stream: Events,
    assembly: Assembly,
    told: Callable[[Assembly], Outcome],
    heard: Callable[[], None] = nobody_listens,
) -> Outcome:
    """Read to the end and return what the stream comes to; ``told`` judges an error event, ``heard`` is told of
    the first token.

    Answered only if the framing was whole, and the Message.
    """
    moved, begun = 0, False
    try:
        while isinstance(part := await stream.read(), bytes):
            if not part:
                return assembly.message()
            assembly.feed(part)
            if assembly.error:
                return told(assembly)
            if assembly.flaw is not None:
                return assembly.flaw
            if assembly.begun and not begun:
                begun = True
                heard()
            if assembly.moved > moved:
                moved = assembly.moved
                stream.moved_on()
        assert not isinstance(part, Answered), "a stream ends in bytes"
        return part
    finally:
        await stream.close()
