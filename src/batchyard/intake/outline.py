"""Judges a JSON value of any size in small steps, and finds the members at its top.

    {"custom_id":"a","params":{"model":"m","pad":[0,0,0,0,0,0,0]}}
    └─────────────── one piece ────────────────────┘└─ the next ─┘     each is judged with ``0]}}`` after it,
                                                                       or ``{"":{"":[0,`` before it

A decoder goes through a value in one call, which takes a tenth of a second for 32 MB of nothing but marks. So it
is cut at commas, and each piece is decoded between the brackets that are open where it begins and ends: for a moment
they stand in the value, in place of what is there. It is JSON exactly if each piece is, for at a comma a parser knows
nothing but which brackets are open.
"""

import re
from collections.abc import Collection, Iterator

import msgspec

from batchyard.intake.scan import brackets_of, depths_of, without_escapes

BLOCK_BYTES = 32 * 1024
"""Gone through in one step: 0.1 ms of text, some milliseconds of marks."""
TOP = 2
"""How deep members are looked for: those of the value, and those of the objects that they are."""

_OPENERS = b"[{"
_CLOSERS = b"]}"
_CLOSING = bytes.maketrans(_OPENERS, _CLOSERS)
_QUOTE, _COLON = b'":'
_TOKEN = re.compile(rb'"[^"]*+"?|[\[\]{},:]')
"""A string, perhaps without its end, or a mark."""
_BLANK = b" \t\n\r"
_OTHERS = rb"""(?x:
    \s*+ "(?!(?:%b)") [^"\\]*+" \s*+:\s*+ (?:"[^"\\]*+"\s*+ | [^",:\[\]{}]++ | \[\s*+\]\s*+ | {\s*+}\s*+) ,
)*+"""
"""Members of other names with simple values. What is no JSON may pass: it is judged elsewhere."""
_BLANKS = re.compile(rb"[ \t\n\r]*+")
_LONGEST_ESCAPE = 12
_anything = msgspec.json.Decoder(msgspec.Raw)
_string = msgspec.json.Decoder(str)

Span = tuple[int, int]
"""Where something begins and ends in the value."""


class NotJson(Exception):
    """What is wrong, in the decoder's words, and from which byte of the value on it counted."""

    def __init__(self, error: msgspec.MsgspecError, counted_from: int) -> None:
        super().__init__(str(error))
        self.counted_from = counted_from


class Outline:
    """Take all ``steps``; then ``members`` are those of the value, as the last of each name has it.

    ``inner`` are the members of the objects among them. Only ``names`` and ``inner_names`` are looked for;
    ``other`` is the key of the first member of another name.
    """

    def __init__(self, value: bytearray, names: Collection[str], inner_names: Collection[str]) -> None:
        self.members: dict[str, Span] = {}
        self.inner: dict[str, dict[str, Span]] = {}
        self.other: Span | None = None
        self._value = value
        self._names = (names, inner_names)
        self._others = tuple(re.compile(_OTHERS % "|".join(each).encode()) for each in self._names)
        self._open = bytearray()
        self._string = -1
        self._keys: list[Span] = [(0, 0)] * TOP
        self._begins = [-1] * TOP
        self._inner: dict[str, Span] = {}
        self._blanks: list[Span] = []

    def steps(self) -> Iterator[None]:
        """Go through the value, step by step. Raises ``NotJson``, and ``RecursionError`` where it nests too deep."""
        at, judged, before = 0, 0, b""
        while at < len(self._value):
            block = without_escapes(bytes(memoryview(self._value)[at : at + BLOCK_BYTES]))
            if block.endswith(b"\\") and at + len(block) < len(self._value):
                block = block[:-1]  # what it escapes comes with the next block
            parts = block.split(b'"')
            size, may_cut = _cut(parts, self._string >= 0)
            if not may_cut and self._string < 0:
                self._leave_out(at, at + len(block) - len(block.lstrip(_BLANK)))
            self._follow(block[:size], parts, at)
            if not may_cut and self._string < 0:
                self._leave_out(at + len(block.rstrip(_BLANK)), at + size)
            at += size
            opened, closed = (self._opened(), self._closed()) if may_cut else (b"", b"")
            if opened and len(closed) <= len(self._value) - at and len(opened) <= at:
                self._judge((judged, at), before, closed)
                judged, before = at, opened
            yield
        self._judge((judged, at), before, b"")

    def raw(self, span: Span) -> msgspec.Raw:
        """Return what lies there without the blanks around it; it is not copied."""
        begin = _BLANKS.match(self._value, *span).end()  # type: ignore[union-attr] # it matches nothing too
        return msgspec.Raw(memoryview(self._value)[begin : self._end(begin, span[1])])

    def _end(self, begin: int, end: int) -> int:
        """Return where it ends without blanks."""
        while begin < end:
            block = self._value[max(begin, end - BLOCK_BYTES) : end]
            kept = len(block.rstrip(_BLANK))
            end -= len(block) - kept
            if kept:
                break
        return end

    def _judge(self, span: Span, before: bytes, after: bytes) -> None:
        """Decode what lies there with the brackets around it that are open before and after it."""
        first, last = span[0] - len(before), span[1] + len(after)
        with memoryview(self._value) as view:
            stood = bytes(view[first : span[0]]), bytes(view[span[1] : last])
            view[first : span[0]], view[span[1] : last] = before, after
            try:
                if not self._blanks or not self._is_json_without_blanks(view, first, last):
                    with view[first:last] as piece:
                        _anything.decode(piece)
            except msgspec.MsgspecError as error:
                raise NotJson(error, first) from None
            finally:
                view[first : span[0]], view[span[1] : last] = stood

    def _leave_out(self, begin: int, end: int) -> None:
        """Take down that there are only blanks, which do not matter if a decoder finds JSON without them."""
        begin = max(begin, self._blanks[-1][1] if self._blanks else 0)
        if begin < end:
            self._blanks.append((begin, end))

    def _is_json_without_blanks(self, view: memoryview, first: int, last: int) -> bool:
        """Decode it without the blanks of blocks that could not be cut, which may be many."""
        kept = []
        for begin, end in self._blanks:
            kept.append(view[first:begin])
            first = end
        self._blanks.clear()
        try:
            _anything.decode(b" ".join((*kept, view[first:last])))
        except msgspec.MsgspecError:
            return False  # with them, the decoder says where
        return True

    def _opened(self) -> bytes:
        """Return JSON that has come to where we are: after a comma, or within a string."""
        if not self._open:
            return b""
        outer = self._open[:-1].replace(b"{", b'{"":')
        if self._string < 0:
            return bytes(outer + (b"[0," if self._open.endswith(b"[") else b'{"":0,'))
        if self._is_key():
            return bytes(outer + b'{"')
        return bytes(outer + (b'["' if self._open.endswith(b"[") else b'{"":"'))

    def _closed(self) -> bytes:
        """Return JSON that goes on from where we are to the end of all that is open."""
        closers = bytes(reversed(self._open)).translate(_CLOSING)
        if self._string < 0:
            return (b"0" if self._open.endswith(b"[") else b'"":0') + closers
        return (b'":0' if self._is_key() else b'"') + closers

    def _is_key(self) -> bool:
        """Whether the string that we are in is a key."""
        before = self._end(0, self._string) - 1
        return self._open.endswith(b"{") and self._value[before] != _COLON

    def _follow(self, block: bytes, parts: list[bytes], base: int) -> None:
        """Keep up with strings and open brackets, and with the members where they are not too deep."""
        is_string = self._string >= 0
        if len(self._open) <= TOP or not self._is_deep(b"".join(parts[is_string::2])):
            self._walk(block, base)
        elif len(parts) > 1:
            self._string = base + len(block) - len(parts[-1]) - 1 if len(parts) % 2 == is_string else -1

    def _is_deep(self, outside: bytes) -> bool:
        """Keep up with the brackets outside of strings; False, and nothing done, if they come near the top."""
        depths = depths_of([outside], len(self._open))
        lowest, level = min(depths), depths[-1]
        if lowest <= TOP:
            return False
        brackets = brackets_of(outside)
        opened = bytearray()
        at = len(brackets)
        while level > lowest:
            at -= 1
            if depths[at] < level:  # and never again, so this one stays open
                level = depths[at]
                opened.append(brackets[at])
        self._open[lowest:] = reversed(opened)
        return True

    def _walk(self, block: bytes, base: int) -> None:
        """Go through the block token by token."""
        at = 0
        if self._string >= 0:
            at = block.find(b'"') + 1
            if not at:
                return
            self._end_string(base + at)
        at = self._after_others(block, at)
        for token in _TOKEN.finditer(block, at):
            mark, place = block[token.start()], base + token.start()
            if mark == _QUOTE:
                self._string = place
                if token.end() - token.start() > 1 and block[token.end() - 1] == _QUOTE:
                    self._end_string(base + token.end())
            elif mark in _OPENERS:
                self._open.append(mark)
                if len(self._open) <= TOP:
                    self._begins[len(self._open) - 1] = -1
            else:
                if len(self._open) <= TOP:
                    self._end_token(mark, place)
                if mark in _CLOSERS:
                    self._open.pop()

    def _after_others(self, block: bytes, at: int) -> int:
        """Return where members of other names end that may be passed over: of the value, the first is taken down."""
        level = len(self._open) - 1
        is_key = self._open.endswith(b"{") and level < TOP and at == 0 and self._begins[level] < 0
        if not is_key or (level == 0 and self.other is None):
            return at
        return self._others[level].match(block).end()  # type: ignore[union-attr] # it matches nothing too

    def _end_token(self, mark: int, place: int) -> None:
        """Take a colon, a comma or a bracket that closes, near the top: a member begins or ends."""
        if mark != _COLON:
            self._end_member(place)
        elif self._open.endswith(b"{") and self._begins[len(self._open) - 1] < 0:
            self._begins[len(self._open) - 1] = place + 1

    def _end_string(self, end: int) -> None:
        level = len(self._open) - 1
        if level < TOP and self._begins[level] < 0:
            self._keys[level] = (self._string, end)
        self._string = -1

    def _end_member(self, end: int) -> None:
        level = len(self._open) - 1
        begin, self._begins[level] = self._begins[level], -1
        if begin < 0:
            return
        name = self._name(level)
        if level and name is not None:
            self._inner[name] = (begin, end)
        elif not level:
            if name is not None:
                self.members[name], self.inner[name] = (begin, end), self._inner
            elif self.other is None:
                self.other = self._keys[0]
            self._inner = {}

    def _name(self, level: int) -> str | None:
        """Return the name of a member, if it is looked for."""
        begin, end = self._keys[level]
        names = self._names[level]
        if end - begin > 2 + 6 * max(map(len, names), default=0):
            return None
        try:
            name = _string.decode(self._value[begin:end])
        except (msgspec.MsgspecError, ValueError):
            return None  # it is no JSON, and will be found so
        return name if name in names else None


def _cut(parts: list[bytes], is_string: bool) -> tuple[int, bool]:  # noqa: FBT001 - where the first part lies
    """Cut the parts of a block, between its quotes, after the last comma outside of strings, if any.

    Returns how many bytes are left, and whether the value may be cut after them: at a comma, or in a string where no
    escape may go on.
    """
    size = sum(map(len, parts)) + len(parts) - 1
    left = size
    for number in range(len(parts) - 1, -1, -1):
        part = parts[number]
        comma = part.rfind(b",") if number % 2 == is_string else -1
        if comma >= 0:
            del parts[number + 1 :]
            parts[number] = part[: comma + 1]
            return left - len(part) + comma + 1, True
        left -= len(part) + 1
    last = parts[-1][-_LONGEST_ESCAPE:]
    return size, len(parts) % 2 == is_string and len(last) == _LONGEST_ESCAPE and b"\\" not in last
