"""How much of one thing each workspace holds, so that none takes all that there is by holding many calls open."""

from collections import Counter

GREEDIEST = 4
"""What a workspace holds by several calls is at most so many times what is left: alone it comes to four fifths."""


class Shares:
    """What is held, by workspace. Who holds nothing is forgotten."""

    def __init__(self) -> None:
        self.all = 0
        self._of: Counter[str] = Counter()

    def add(self, workspace: str, more: int) -> None:
        """Count so much more, or less, as held."""
        self.all += more
        self._of[workspace] += more
        if not self._of[workspace]:
            del self._of[workspace]

    def has_room(self, workspace: str, more: int, *, own: int, left: int) -> bool:
        """Whether a call that holds ``own`` may hold so much more, of what is ``left``.

        The only call of a workspace may take all; several together leave some to others.
        """
        beside = self._of[workspace] - own
        return more <= left and (not beside or beside + own + more <= GREEDIEST * (left - more))
