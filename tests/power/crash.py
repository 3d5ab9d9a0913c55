"""What a power loss may leave of a recorded disk.

What was synced is there. Of what was written since, each write may be there, be lost, or be torn at a sector's border,
whatever came before or after it; of the names that were made, changed or removed since their last sync, any first part.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.power.disk import Create, Entry, Record, Remove, Rename, Sync, SyncNames, Told, Truncate, Write

SECTOR = 512


class Image:
    """The disk after a power loss at ``at``: the first so many entries were made."""

    def __init__(self, record: Record, at: int, chance: random.Random) -> None:
        self.told = [entry for entry in record.entries[:at] if isinstance(entry, Told)]
        self._chance = chance
        # Content by number: a name points at one, and a rename moves the name alone.
        self._content: list[bytearray] = [bytearray(content) for content in record.files.values()]
        self._names = dict(zip(record.files, range(len(self._content)), strict=True))
        self._durable = dict(self._names)
        self._waiting: dict[int, list[Write | Truncate]] = {}
        self._renames: list[tuple[Create | Rename | Remove, int]] = []
        for entry in record.entries[:at]:
            self._make(entry)
        self._lose_power()

    def _make(self, entry: Entry) -> None:
        match entry:
            case Write(file, _, _) | Truncate(file, _):
                self._waiting.setdefault(self._names[file], []).append(entry)
            case Sync(file):
                for done in self._waiting.pop(self._names[file], []):
                    self._apply(self._names[file], done)
            case Create(file):
                self._content.append(bytearray())
                self._names[file] = len(self._content) - 1
                self._renames.append((entry, self._names[file]))
            case Rename(old, new):
                self._names[new] = self._names.pop(old)
                self._renames.append((entry, self._names[new]))
            case Remove(file):
                self._renames.append((entry, self._names.pop(file, -1)))
            case SyncNames():
                self._durable = dict(self._names)
                self._renames.clear()

    def _apply(self, number: int, done: Write | Truncate) -> None:
        content = self._content[number]
        if isinstance(done, Truncate):
            del content[done.size :]
            content += bytes(done.size - len(content))
            return
        content += bytes(max(0, done.offset - len(content)))
        content[done.offset : done.offset + len(done.content)] = done.content

    def _lose_power(self) -> None:
        for number, waiting in self._waiting.items():
            for one in self._survivors(waiting):
                self._apply(number, one)
        for change, number in self._renames[: self._chance.randint(0, len(self._renames))]:
            match change:
                case Create(file):
                    self._durable[file] = number
                case Rename(old, new):
                    self._durable.pop(old, None)
                    self._durable[new] = number
                case Remove(file):
                    self._durable.pop(file, None)

    def _survivors(self, waiting: Sequence[Write | Truncate]) -> list[Write | Truncate]:
        chance = self._chance
        kept: list[Write | Truncate] = []
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        for one in waiting:
            roll = chance.random()
            if roll < share:
                kept.append(one)
            elif isinstance(one, Write) and chance.random() < 0.3 and len(one.content) > SECTOR:
                cut = chance.randrange(1, -(-len(one.content) // SECTOR)) * SECTOR
                if chance.random() < 0.5:
                    kept.append(Write(one.file, one.offset, one.content[:cut]))
                else:
                    kept.append(Write(one.file, one.offset + cut, one.content[cut:]))
        return kept  # in their order: a later write to a sector is never followed by an earlier one

    def write_to(self, folder: Path) -> None:
        """Put the files there."""
        for name, number in self._durable.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._content[number])
