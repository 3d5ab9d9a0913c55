"""What is surely wrong in the params of a batch's request, on any server, and what most servers would miss in them.

Everything else about params is for the model server to judge: servers differ.
"""

import msgspec

EXPECTED = ("model", "max_tokens", "messages")


class Params(msgspec.Struct, frozen=True):
    """The members of params that are looked at, undecoded."""

    model: msgspec.Raw = msgspec.Raw()
    max_tokens: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    stream: msgspec.Raw = msgspec.Raw()

    def lacking(self) -> tuple[str, ...]:
        """Return which expected members are not there; ``ValueError`` says what no server takes."""
        model, most, messages = bytes(self.model), bytes(self.max_tokens), bytes(self.messages)
        if model and (not model.startswith(b'"') or model == b'""'):
            raise ValueError("params: model must be the name of a model")
        if most and most[0] not in b"-0123456789":
            raise ValueError("params: max_tokens must be a number")
        if messages and not messages.startswith(b"["):
            raise ValueError("params: messages must be an array")
        if bytes(self.stream) == b"true":
            raise ValueError("params: stream must be left out: the answers of a batch are not streamed")
        if model and most and messages:
            return ()
        return tuple(name for name, there in zip(EXPECTED, (model, most, messages), strict=True) if not there)


class Notes:
    """Counts requests that lack an expected member: some servers have a default, most refuse them one by one."""

    def __init__(self) -> None:
        self._lacking: dict[str, tuple[int, int]] = {}

    def add(self, names: tuple[str, ...], number: int) -> None:
        for name in names:
            first, count = self._lacking.get(name, (number, 0))
            self._lacking[name] = first, count + 1

    def told(self, source: str) -> tuple[str, ...]:
        """Return what is worth a word, with the first place of each."""
        return tuple(
            f"{source}:{first}: params without {name}, {'here alone' if count == 1 else f'in {count:,} requests'}: "
            "most servers refuse such a request"
            for name, (first, count) in self._lacking.items()
        )
