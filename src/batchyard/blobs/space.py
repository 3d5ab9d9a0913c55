"""Free room on the disk of the data folder, less what is held back."""

import os
from collections.abc import Callable
from pathlib import Path

LARGEST_SHARE = 10
"""The reserve is at most this part of the disk: a small one would else never be used."""


class FolderSpace:
    """A ``Space``. ``owed`` are bytes that will be written whatever comes: results that wait for their seal.

    A folder that cannot be asked counts as roomy: writing to it says best what is wrong with it.
    """

    def __init__(self, folder: Path, reserve_bytes: int, owed: Callable[[], int]) -> None:
        self._folder, self._reserve_bytes, self._owed = folder, reserve_bytes, owed

    def spare(self) -> int:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return self._reserve_bytes
        reserve = min(self._reserve_bytes, disk.f_blocks * disk.f_frsize // LARGEST_SHARE)
        return disk.f_bavail * disk.f_frsize - reserve - self._owed()


class EndlessSpace:
    """A ``Space`` that is never short: of stores whose disks are not ours to watch."""

    def spare(self) -> int:
        return 2**62
