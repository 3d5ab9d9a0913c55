"""What a process does when others that share its store tell it something."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hearer:
    """One process. ``owner`` is its dispatcher, "" where it has none.

    ``work``: there may be something to do. ``owners``: one came or left, or what they all go by has changed.
    ``withhold``: no call of that batch may begin from now on; once it returns, none does.
    """

    owner: str
    work: Callable[[], None]
    owners: Callable[[], None]
    withhold: Callable[[str], None]
