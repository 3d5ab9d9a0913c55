"""Server-sent events out of bytes, in any pieces. Pure. An event counts once the empty line behind it came."""

from collections.abc import Iterator

LONGEST_EVENT = 16 * 1024 * 1024
"""Bytes of one event; what is longer is made to hurt."""


class TooLong(Exception):
    """An event does not end."""


class EventReader:
    """Fed with all bytes of a stream. Comments and members other than ``event`` and ``data`` are passed over."""

    def __init__(self) -> None:
        self._tail = bytearray()
        self._kind = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the kind, which may be empty, and the data of every event that these bytes complete."""
        self._tail += chunk
        *lines, rest = self._tail.split(b"\n")
        self._tail = bytearray(rest)
        if len(rest) + self._size > LONGEST_EVENT:
            raise TooLong
        for line in lines:
            if not (line := line.removesuffix(b"\r")):
                if self._data or self._kind:
                    yield self._kind, b"\n".join(self._data)
                self._kind, self._data, self._size = b"", [], 0
                continue
            self._size += len(line)
            if self._size > LONGEST_EVENT:
                raise TooLong
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                self._data.append(bytes(value))
            elif name == b"event":
                self._kind = bytes(value)
