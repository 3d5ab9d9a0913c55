"""Whether a stream of server-sent events was told to its end: its bytes are watched as they pass, and not changed."""

import re

_LONGEST_START = 256
"""What tells an event's kind stands at the beginning of its line."""
_KIND = re.compile(rb'event:[ ]?(\w+)\Z|data:[ ]?\{\s*"type"\s*:\s*"(message_stop|error)"')


class StreamWatch:
    """Fed with all bytes, in any pieces. ``ended``: the last event of a Message came; ``failed``: an error did."""

    def __init__(self) -> None:
        self.ended = False
        self.failed = False
        self._line = b""
        self._kind = b""

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        first, *others = chunk.split(b"\n")
        self._line += first[: _LONGEST_START - len(self._line)]
        for line in others:
            self._look(self._line.rstrip(b"\r"))
            self._line = line[:_LONGEST_START]

    def _look(self, line: bytes) -> None:
        """An event counts once the empty line behind it came: before that no client is told of it."""
        if not line:
            self.ended = self.ended or self._kind == b"message_stop"
            self.failed = self.failed or self._kind == b"error"
            self._kind = b""
        elif told := _KIND.match(line):
            self._kind = told[1] or told[2]
