"""A prefix of an object store that is one Batchyard's own: small synchronous calls on it, and what went wrong in words.

``batchyard.json`` in the prefix names the store whose blobs lie there: whoever sweeps must never take the objects of
another one for leftovers. It also tells a bucket that is gone from an object that is.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.ports import Damaged

OWNER = "batchyard.json"
PROBE = "batchyard.probe"
SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
CALL_SECONDS = "30s"
RETRY_SECONDS = 20.0
"""A call that fails is made again for so long by the library; then it is our caller's to wait."""
PART_BYTES = 8 * 1024 * 1024
"""S3 takes 10,000 parts: blobs of up to 80 GB."""
PARTS_AT_ONCE = 2
_FAILURES = (BaseError, OSError, ValueError)


class Bucket:
    """Blocking calls; each may raise ``StoreUnavailable``. ``open`` makes one."""

    def __init__(self, store: Any, shown: str) -> None:
        self._store = store
        self.shown = shown

    @classmethod
    def open(cls, url: str, identity: str) -> "Bucket":
        """Connect, and take the prefix for the store with this identity; or raise ``DataRefused``.

        What else the object store needs to know (region, endpoint, credentials) comes from the usual environment
        variables or the machine's own role.
        """
        shown = urlsplit(url)._replace(query="", fragment="").geturl().rpartition("@")[2].rstrip("/")
        if urlsplit(url).scheme not in SCHEMES or not urlsplit(url).netloc:
            raise DataRefused(f"objects {shown}: must be {', '.join(f'{name}://…' for name in ('s3', 'gs', 'az'))}")
        try:
            store = from_url(
                url,
                # An endpoint of plain http is only spoken to where the operator named one.
                client_options={"timeout": CALL_SECONDS, "connect_timeout": "5s", "allow_http": True},
                retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
            )
        except _FAILURES as error:
            raise DataRefused(f"objects {shown}: {_words(error)}") from error
        bucket = cls(store, shown)
        try:
            bucket._take(identity)
        except StoreUnavailable as error:
            raise DataRefused(f"objects {error}") from error
        return bucket

    def _take(self, identity: str) -> None:
        """Make sure that the prefix is ours, and that we may read, write and delete there."""
        owner = self._owner()
        if owner is None:
            self.put(OWNER, json.dumps({"program": "batchyard", "store": identity}).encode())
            owner = self._owner()
        if owner != identity:
            raise DataRefused(
                f"objects {self.shown} belongs to another Batchyard (database {owner}): name another prefix. If that "
                f"database is gone for good, delete {OWNER} there first"
            )
        self.put(PROBE, b"")
        self.delete(PROBE)

    def _owner(self) -> str | None:
        try:
            with self.translating("its owner cannot be read"):
                told = json.loads(bytes(obstore.get(self._store, OWNER).bytes()))
                return str(told["store"])
        except FileNotFoundError:
            return None
        except (LookupError, TypeError) as broken:
            raise DataRefused(
                f"objects {self.shown}: {OWNER} there is not of Batchyard; name another prefix"
            ) from broken

    def put(self, name: str, content: bytes) -> None:
        """Write a small object, in the place of any before it."""
        try:
            with self.translating(f"{name} cannot be written"):
                obstore.put(self._store, name, content, use_multipart=False)
        except FileNotFoundError as gone:
            raise StoreUnavailable(f"{self.shown}: there is no such bucket") from gone

    def begin(self, name: str) -> Any:
        """Return a writable file: nobody sees the object before it is closed, and leaving it by an exception aborts."""
        with self.translating(f"{name} cannot be written"):
            return obstore.open_writer(self._store, name, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def tail(self, name: str, length: int) -> tuple[int, bytes]:
        """Return the object's size, and its last bytes, up to so many. Raises ``Damaged`` where it is missing."""
        try:
            with self.translating(f"{name} cannot be read"):
                size = int(obstore.head(self._store, name)["size"])
                start = max(0, size - length)  # not a suffix range: Azure knows none, and nobody of an empty object
                return size, bytes(obstore.get_range(self._store, name, start=start, end=size)) if size else b""
        except FileNotFoundError as missing:
            raise self._missing(name) from missing

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes from there on, fewer at the object's end. Raises ``Damaged`` where it is missing."""
        try:
            with self.translating(f"{name} cannot be read"):
                return bytes(obstore.get_range(self._store, name, start=offset, length=length))
        except FileNotFoundError as missing:
            raise self._missing(name) from missing

    def delete(self, *names: str) -> None:
        """Remove objects. Missing ones are no error."""
        for name in names:
            try:
                with self.translating(f"{name} cannot be deleted"):
                    obstore.delete(self._store, name)
            except FileNotFoundError:
                continue

    def ages(self) -> dict[str, float]:
        """Return how many seconds ago each object was written, by the object store's own clock."""
        self.put(PROBE, b"")
        with self.translating("it cannot be listed"):
            written = {one["path"]: one["last_modified"] for part in obstore.list(self._store) for one in part}
        now = written.pop(PROBE, datetime.now(UTC))
        return {path: (now - at).total_seconds() for path, at in written.items()}

    def _missing(self, name: str) -> Exception:
        """Tell an object that is gone from a bucket that is: the first is damage, the second may come back."""
        if self._owner() is None:
            return StoreUnavailable(f"{self.shown}: the bucket is gone, or {OWNER} in it")
        return Damaged(f"{name} is missing")

    @contextmanager
    def translating(self, what: str) -> Iterator[None]:
        """Turn the library's errors into ``StoreUnavailable``, but for what is missing."""
        try:
            yield
        except FileNotFoundError:
            raise
        except _FAILURES as error:
            raise StoreUnavailable(f"{self.shown}: {what}: {_words(error)}") from error


def _words(error: Exception) -> str:
    """Return what an error says on its first line; the rest is for the library's makers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
