"""What a job came to: requests by fate, tokens by model, and why requests errored."""

from typing import Self

import msgspec

from batchyard.client.replies import KINDS, ResultLine, Usage

MOST_REASONS = 100
MOST_MODELS = 100
OTHER_MODELS = "other models"


class Tokens(msgspec.Struct):
    """Tokens of answers: ``input`` is neither read from a cache nor written to one."""

    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0
    requests: int = 0

    @property
    def total_input(self) -> int:
        return self.input + self.cache_write + self.cache_read

    def add(self, usage: Usage) -> None:
        self.requests += 1
        self.input += usage.input_tokens
        self.output += usage.output_tokens
        self.cache_write += usage.cache_creation_input_tokens or 0
        self.cache_read += usage.cache_read_input_tokens or 0

    def __iadd__(self, other: "Tokens") -> Self:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class Tally(msgspec.Struct):
    """Counts of results, and the tokens of those that succeeded: what the model servers were paid for."""

    counts: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    models: dict[str, Tokens] = msgspec.field(default_factory=dict)
    reasons: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def requests(self) -> int:
        return sum(self.counts.values())

    @property
    def all_succeeded(self) -> bool:
        return self.counts["succeeded"] == self.requests

    @property
    def input_tokens(self) -> int:
        return sum(tokens.total_input for tokens in self.models.values())

    @property
    def output_tokens(self) -> int:
        return sum(tokens.output for tokens in self.models.values())

    def add(self, known: ResultLine) -> None:
        """Count one result."""
        result = known.result
        self.counts[result.type] += 1
        if result.message is not None:
            self._model(result.message.model).add(result.message.usage)
        if result.type == "errored" and result.error is not None:
            error = result.error.innermost
            self._count(f"{error.type}: {error.message[:200]}", 1)

    def __iadd__(self, other: "Tally") -> Self:
        for kind, count in other.counts.items():
            self.counts[kind] += count
        for model, tokens in other.models.items():
            mine = self._model(model)
            mine += tokens
        for reason, count in other.reasons.items():
            self._count(reason, count)
        return self

    def most_frequent(self, most: int) -> list[tuple[str, int]]:
        """Return the reasons of errors with their counts, most frequent first."""
        return sorted(self.reasons.items(), key=lambda pair: -pair[1])[:most]

    def _model(self, name: str) -> Tokens:
        if name not in self.models and len(self.models) >= MOST_MODELS:
            name = OTHER_MODELS
        return self.models.setdefault(name, Tokens())

    def _count(self, reason: str, count: int) -> None:
        if reason in self.reasons or len(self.reasons) < MOST_REASONS:
            self.reasons[reason] = self.reasons.get(reason, 0) + count
