"""Where a job keeps its files while it goes on: in a folder beside its output, or in a temporary one."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote


class Workplace:
    """A folder of the job's own. It is made with the first file, and gone with the job."""

    def __init__(self, output: Path | None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="batchyard-") if output is None else None
        self.folder = Path(self._temporary.name) if self._temporary else beside(output, ".batchyard.work")

    def results(self, number: int) -> Path:
        """Return the file of a part's results in the order of its requests."""
        return self._made() / f"part-{number}.results"

    def download(self, number: int, batch_id: str) -> Path:
        """Return the file that a part's results are downloaded to."""
        return self._made() / f"part-{number}.{quote(batch_id, safe='')}.download"

    def requests(self, round_number: int) -> Path:
        """Return the file of the requests that a round sends again."""
        return self._made() / f"round-{round_number}.requests"

    def output(self) -> Path:
        """Return the file that the output is written to before it has its name."""
        return self._made() / "output"

    def errors(self) -> Path:
        """Return the file that what did not succeed is written to before it has its name."""
        return self._made() / "errors"

    def discard(self) -> None:
        """Remove everything. Discarding twice is allowed."""
        if self._temporary is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    def _made(self) -> Path:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        return self.folder


def beside(output: Path | None, suffix: str) -> Path:
    """Return a path beside the output."""
    assert output is not None, "a file beside standard output"
    return output.with_name(output.name + suffix)
