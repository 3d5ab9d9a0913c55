"""A figure: what was measured here, what beside it, and the rule it is held to."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Figure:
    """``ours`` and ``theirs`` in ``unit``. The rule bounds their ratio, or ``ours`` alone where ``alone`` is set.

    ``ours`` is None where no server was measured, ``theirs`` where the other program is not installed.
    """

    rule: str
    what: str
    unit: str
    ours: float | None
    bound: float
    theirs: float | None = None
    against: str = ""
    at_most: bool = True
    alone: bool = False
    note: str = ""

    @property
    def value(self) -> float | None:
        """What the rule bounds."""
        if self.ours is None or self.alone:
            return self.ours
        return self.ours / self.theirs if self.theirs else None

    @property
    def is_met(self) -> bool | None:
        """Whether the rule holds; None where nothing was compared."""
        if self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def line(self) -> str:
        return json.dumps({**asdict(self), "value": self.value, "met": self.is_met})

    @classmethod
    def read(cls, line: str) -> Self:
        fields = json.loads(line)
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__})
