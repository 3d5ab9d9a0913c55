"""Bugs planted in the blobs of an object store."""

from tests.planted.bug import Bug

ALONE = "tests/contract/test_objects.py"
BLOBS = "tests/contract/test_blobs.py"

OBJECTS = [
    Bug(
        "Google's object store is none",
        "blobs/bucket.py",
        'SCHEMES = ("s3", "s3a", "gs", ',
        'SCHEMES = ("s3", "s3a", ',
        ALONE,
    ),
    Bug(
        "a refusal of the object store is a page long",
        "blobs/bucket.py",
        "    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]\n",
        "    return str(error)[:300]\n",
        "tests/contract/test_objects_elsewhere.py",
    ),
    Bug(
        "anybody's prefix is taken",
        "blobs/bucket.py",
        "        if owner != identity:\n",
        "        if False:\n",
        ALONE,
    ),
    Bug(
        "a bucket that is gone looks like damaged blobs",
        "blobs/bucket.py",
        "        if self._owner() is None:\n",
        "        if False:\n",
        ALONE,
    ),
    Bug(
        "objects: a reader does not check what it reads",
        "blobs/objects.py",
        "            check(window, begin // BLOCK_BYTES, self._table)\n",
        "            pass\n",
        BLOBS,
    ),
    Bug(
        "a long upload looks old when it ends",
        "blobs/object_writer.py",
        "self._monotonic() - self._began > LONG_SECONDS",
        "self._monotonic() - self._began > 10 * LONG_SECONDS",
        ALONE,
    ),
    Bug(
        "an upload that is given up is finished",
        "blobs/object_writer.py",
        "                raise _Aborted\n",
        "                pass\n",
        ALONE,
    ),
    Bug(
        "a deleted object is taken from its readers",
        "blobs/objects.py",
        "        if self._readers[name]:\n",
        "        if False:\n",
        BLOBS,
    ),
    Bug(
        "each request reads the object store",
        "blobs/objects.py",
        "        if last - first > 1 or not length:\n",
        "        if True:\n",
        ALONE,
    ),
]
