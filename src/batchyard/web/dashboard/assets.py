"""The files that pages load: styles, our script, htmx and uPlot. Held in memory, and named with their checksum."""

from hashlib import sha256
from pathlib import Path

from batchyard.domain.errors import NotFound
from batchyard.web.calls import Answer, ApiCall

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = (
    ("cache-control", "public, max-age=31536000, immutable"),
    ("cross-origin-resource-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'"),
)
"""An icon opened by itself is a document too: nothing runs in it."""


class Assets:
    """Implements ``/static/{mark}/{name}``. The mark changes with the file, so that browsers may keep each for good."""

    def __init__(self) -> None:
        files = [path for path in FOLDER.iterdir() if path.suffix in TYPES]
        self._files = {path.name: path.read_bytes() for path in files}
        self._marks = {name: sha256(held).hexdigest()[:12] for name, held in self._files.items()}

    def url(self, name: str) -> str:
        """Return the path of a file."""
        return f"/static/{self._marks[name]}/{name}"

    async def file(self, _: ApiCall, mark: str, name: str) -> Answer:
        if self._marks.get(name) != mark:
            raise NotFound("Not found: there is no such file in this version.")
        return Answer(self._files[name], 200, TYPES[Path(name).suffix], HEADERS)
