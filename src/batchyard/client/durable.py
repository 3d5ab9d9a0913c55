"""Making files and their names outlast a power loss."""

import os
import sys
from pathlib import Path
from typing import IO


def synced(file: IO[bytes]) -> None:
    """Make what was written to the file durable."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the name of a new file durable."""
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
