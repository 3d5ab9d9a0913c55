"""The lines of a large answer on their way from a connection to the one who reads them: few are held at a time.

They are whole if HTTP says so: an answer that breaks off ends with the outcome that the break amounts to, and what came
before it was read already. Who reads knows which lines must be there.
"""

import asyncio
from collections.abc import Callable, Sequence

from batchyard.domain.outcome import Outcome
from batchyard.upstream.exchange import Answer, Exchanged, hostile, unknown
from batchyard.upstream.flow import EventFlow


class LineFlow(EventFlow):
    """The connection's side: any answer with status 200 is read as it comes, whatever its type is called."""

    def begin_if_events(self, headers: Sequence[tuple[bytes, bytes]], transport: asyncio.Transport) -> None:  # noqa: ARG002
        """The head of an answer came: its body is ours."""
        self._transport = transport
        self.has_begun = True
        self.moved.set()


class LineStream:
    """The reader's side. ``most_line_bytes``: a longer line is not held, the call is cut."""

    def __init__(
        self, flow: LineFlow, waiter: "asyncio.Future[Exchanged]", cut: Callable[[], None], most_line_bytes: int
    ) -> None:
        self._flow, self._waiter, self._cut = flow, waiter, cut
        self._most = most_line_bytes
        self._tail = bytearray()
        self._fault: Outcome | None = None
        waiter.add_done_callback(lambda _waiter: flow.moved.set())

    async def begin(self) -> "LineStream | Exchanged":
        """Wait for the head of the answer; return what the call came to where it is not one of lines."""
        await self._flow.moved.wait()
        return self if self._flow.has_begun else self._waiter.result()

    async def read(self) -> Sequence[bytes] | Outcome:
        """Return the next lines, without their ends; none at the whole end, or the outcome that a break amounts to."""
        while self._fault is None:
            part = self._flow.take()
            end = part.rfind(b"\n") + 1
            if end:
                lines = [line for line in (bytes(self._tail) + part[:end]).split(b"\n") if line.strip()]
                self._tail = bytearray(part[end:])
                if lines:
                    return lines
                continue
            self._tail += part
            if len(self._tail) > self._most:
                self._fault = hostile(f"sent a line of more than {self._most} bytes")
                await self.close()
            elif self._waiter.done() and self._flow.is_empty:
                return self._ended()
            else:
                self._flow.moved.clear()
                await self._flow.moved.wait()
        return self._fault

    async def close(self) -> None:
        """Cut the call, unless its answer was whole already and the connection may serve another by now."""
        if not self._waiter.done():
            self._waiter.cancel()
            self._cut()

    def _ended(self) -> Sequence[bytes] | Outcome:
        if self._waiter.cancelled():
            return unknown("was cut off by ourselves")
        exchanged = self._waiter.result()
        if not isinstance(exchanged, Answer):
            return exchanged
        last, self._tail = bytes(self._tail).strip(), bytearray()  # the last line may lack its end
        return [last] if last else []
