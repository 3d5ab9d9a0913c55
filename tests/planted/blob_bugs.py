"""Bugs planted in the blobs that are files."""

from tests.planted.bug import Bug

TESTS = "tests/unit/test_file_blobs.py tests/contract/test_blobs.py"

BLOBS = [
    Bug(
        "a blob is named before its bytes are synced",
        "blobs/writer.py",
        "        self._disk.sync(self._file.descriptor)\n",
        "",
        TESTS,
    ),
    Bug(
        "finish returns before the name is synced",
        "blobs/writer.py",
        "        self._disk.sync_folder(self._path.parent)\n",
        "",
        TESTS,
    ),
    Bug(
        "a failed finish leaves its file",
        "blobs/writer.py",
        "            self._discard()\n            return error",
        "            return error",
        TESTS,
    ),
    Bug(
        "a cancelled caller cuts off the write",
        "blobs/writer.py",
        "asyncio.shield(self._step)",
        "self._step",
        TESTS,
    ),
    Bug(
        "a reader does not check what it reads",
        "blobs/files.py",
        "            check(blocks, begin // BLOCK_BYTES, self._table)",
        "            pass",
        TESTS,
    ),
    Bug(
        "the trailer of a blob is believed",
        "blobs/blocks.py",
        "    if _CRC.pack(zlib.crc32(table + size_bytes)) != check:",
        "    if False:",
        TESTS,
    ),
    Bug(
        "a blob may have any length",
        "blobs/blocks.py",
        "    if file_size != size + length + TAIL_BYTES:",
        "    if False:",
        TESTS,
    ),
    Bug(
        "what was read ahead is taken for what follows it",
        "blobs/files.py",
        "            self._ahead_at, begin = offset, 0",
        "            self._ahead_at, begin = offset - 1, 0",
        "tests/unit/test_file_blobs.py",
    ),
    Bug(
        "a fault in what follows fails a read",
        "blobs/files.py",
        "            except (Damaged, StoreUnavailable):  # it may be what follows that cannot be read",
        "            except ZeroDivisionError:",
        "tests/unit/test_file_blobs.py",
    ),
    Bug(
        "the name of a deleted blob is kept",
        "blobs/files.py",
        "        self._written_at.pop(name, None)\n",
        "",
        "tests/unit/test_file_blobs.py",
    ),
    Bug(
        "a read goes past the content of a blob",
        "blobs/files.py",
        "if offset < 0 or length < 0 or offset + length > self.size:",
        "if False:",
        TESTS,
    ),
    Bug(
        "a deleted blob stays open",
        "blobs/files.py",
        "            self._open.pop(name, None)",
        "            pass",
        TESTS,
    ),
    Bug(
        "a jump of the clock makes a new blob old",
        "blobs/files.py",
        "            if name in youngest:\n                youngest[name] = now - written_at\n",
        "",
        TESTS,
    ),
    Bug(
        "the name of a blob may lead anywhere",
        "blobs/files.py",
        "        if not _NAME.fullmatch(name):\n            raise Damaged",
        "        if False:\n            raise Damaged",
        TESTS,
    ),
    Bug(
        "every blob that was read stays open",
        "blobs/files.py",
        "        if len(self._open) > KEPT_OPEN:",
        "        if False:",
        TESTS,
    ),
    Bug(
        "a disk that fails is called damage",
        "blobs/files.py",
        "(errno.ENOENT, errno.ELOOP)",
        "(errno.ENOENT, errno.ELOOP, errno.EIO)",
        TESTS,
    ),
    Bug(
        "everybody may read blobs",
        "blobs/disk.py",
        "0o600",
        "0o644",
        TESTS,
    ),
    Bug(
        "a new folder of blobs is not synced",
        "blobs/disk.py",
        "            self.sync_folder(path.parent)",
        "            pass",
        TESTS,
    ),
]
