"""Opening a data folder: what is set up, and what is refused without being touched."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from batchyard.domain.errors import DataRefused
from batchyard.ports import Pick
from batchyard.store import database
from batchyard.store.database import APPLICATION_ID
from batchyard.store.lock import NAME as LOCK
from batchyard.store.migrate import migrate, migrations, newest
from batchyard.store.rows import micros
from batchyard.store.sqlite import SqliteStore
from batchyard.testing.factories import DAY, NOW, a_batch, drafts, origin

DATABASE = "batchyard.db"
NOBODY = 65534

OPEN = """
import asyncio, os, sys
from pathlib import Path
from batchyard.domain.errors import DataRefused
from batchyard.store.sqlite import SqliteStore
if os.getuid() == 0 and "--nobody" in sys.argv:
    os.setuid(%d)
try:
    store = SqliteStore.open(Path(sys.argv[1]))
except DataRefused as refused:
    print(refused)
    sys.exit(2)
print("open", flush=True)
sys.stdin.readline()
"""


@contextmanager
def opened(folder: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(folder)
    try:
        yield store
    finally:
        asyncio.run(store.close())


def made(folder: Path) -> Path:
    """Return the database of a folder that a server used and left."""
    with opened(folder) as store:
        asyncio.run(store.create(a_batch(), drafts(500), origin(), defend=False))
    return folder / DATABASE


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def pragmas(store: SqliteStore, *names: str) -> dict[str, object]:
    async def read() -> dict[str, object]:
        return await store._writer.run(lambda connection: {name: connection.pragma(name) for name in names})

    return asyncio.run(read())


def another_server(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", OPEN % NOBODY, str(folder), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_writing_connection_is_durable_and_forgets_what_it_deletes(tmp_path: Path) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
        "secure_delete": 1,
        "wal_autocheckpoint": 0,
        "temp_store": 2,
        "busy_timeout": 5000,
        "application_id": 0x42594152,
        "user_version": newest(),
    }

    with opened(tmp_path) as store:
        assert pragmas(store, *wanted) == wanted


def test_pages_carry_checksums_that_are_verified(tmp_path: Path) -> None:
    if not database.load_checksums():
        pytest.skip("this apsw comes without the checksum VFS")

    with opened(tmp_path) as store:
        assert pragmas(store, "checksum_verification") == {"checksum_verification": "1"}


def test_a_pragma_that_does_not_take_is_a_refusal() -> None:
    with pytest.raises(DataRefused, match="journal_mode"):
        database.configure(apsw.Connection(":memory:"), {"journal_mode": "wal"})


def test_every_pragma_that_was_set_is_read_back(tmp_path: Path) -> None:
    class Deaf(apsw.Connection):
        """Takes every pragma but one, and says nothing."""

        def pragma(self, name: str, value: object = None, **more: object) -> object:
            if value is not None and name == "secure_delete":
                return None
            return super().pragma(name, value) if value is not None else super().pragma(name)

    connection = Deaf(str(tmp_path / "some.db"))

    with pytest.raises(DataRefused, match="secure_delete"):
        database.configure(connection, database.WRITER)
    connection.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    with opened(tmp_path):
        reader = database.open_reader(tmp_path / DATABASE, None)
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute("delete from batches")
        reader.close()


def test_folder_and_files_are_the_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with opened(folder) as store:
        asyncio.run(store.beat("o1", a_batch().created_at))
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}

    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes[DATABASE] == modes[f"{DATABASE}-wal"] == modes[LOCK] == 0o600


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        batch = asyncio.run(store.create(a_batch(), drafts(3), origin(), defend=False))

    with opened(tmp_path) as store:
        assert asyncio.run(store.get("w1", batch.id)) == batch


def test_a_second_server_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.listens_at("127.0.0.1:8642")
        before = contents(tmp_path)

        second = another_server(tmp_path)
        said, _ = second.communicate(timeout=20)

        assert second.returncode == 2
        assert f"held by process {os.getpid()} on " in said
        assert " since 2" in said
        assert "listening on 127.0.0.1:8642" in said
        assert len(said.splitlines()) == 1
        assert contents(tmp_path) == before


def test_a_second_store_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(DataRefused, match=f"process {os.getpid()}"):
            SqliteStore.open(tmp_path)

        assert asyncio.run(store.ripe()) == []


def test_a_killed_server_holds_nothing(tmp_path: Path) -> None:
    first = another_server(tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "open\n"

    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=20)

    with opened(tmp_path) as store:
        assert asyncio.run(store.ripe()) == []


def test_a_closed_store_lets_go_of_its_folder(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass

    with opened(tmp_path) as store:
        assert asyncio.run(store.ripe()) == []


def foreign(folder: Path) -> None:
    connection = apsw.Connection(str(folder / DATABASE))
    connection.pragma("application_id", 7)
    connection.execute("create table notes (text)")
    connection.close()


def of_nobody(folder: Path) -> None:
    connection = apsw.Connection(str(folder / DATABASE))
    connection.execute("create table notes (text)")
    connection.close()


def no_database(folder: Path) -> None:
    (folder / DATABASE).write_text("Dear diary, " * 100)


def cut_short(folder: Path) -> None:
    (folder / DATABASE).write_bytes(made(folder).read_bytes()[:50])


def newer(folder: Path) -> None:
    path = made(folder)
    header = bytearray(path.read_bytes())
    header[60:64] = (newest() + 1).to_bytes(4, "big")
    path.write_bytes(header)


def without_main_file(folder: Path) -> None:
    (folder / f"{DATABASE}-wal").write_bytes(b"what is left of a database")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (foreign, "belongs to another program"),
        (of_nobody, "belongs to another program"),
        (no_database, "not an SQLite database"),
        (cut_short, "not an SQLite database"),
        (newer, "newer Batchyard"),
        (without_main_file, "is missing"),
    ],
)
def test_a_folder_that_is_not_ours_is_refused_untouched(tmp_path: Path, spoil: object, said: str) -> None:
    assert callable(spoil)
    spoil(tmp_path)
    before = contents(tmp_path)

    with pytest.raises(DataRefused, match=said) as refused:
        SqliteStore.open(tmp_path)

    assert contents(tmp_path) == before
    assert len(str(refused.value).splitlines()) == 1


def test_a_newer_schema_that_only_the_wal_knows_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "written")
    killed = tmp_path / "killed"
    killed.mkdir()
    connection = database.connect(path, None, apsw.SQLITE_OPEN_READWRITE)
    connection.wal_autocheckpoint(0)
    connection.pragma("user_version", newest() + 1)
    for name in (DATABASE, f"{DATABASE}-wal"):
        (killed / name).write_bytes((path.parent / name).read_bytes())
    connection.close()
    before = contents(killed)

    with pytest.raises(DataRefused, match="newer Batchyard"):
        SqliteStore.open(killed)

    after = contents(killed)
    assert after[DATABASE] == before[DATABASE]
    assert after[f"{DATABASE}-wal"] == before[f"{DATABASE}-wal"]


@pytest.mark.parametrize("page", [1, 2, 5, -1])
def test_a_damaged_page_is_found_at_the_start(tmp_path: Path, page: int) -> None:
    if not database.load_checksums():
        pytest.skip("this apsw comes without the checksum VFS")
    path = made(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[(page * 4096 + 2048) % len(damaged)] ^= 4
    path.write_bytes(damaged)

    with pytest.raises(DataRefused, match="backup"):
        SqliteStore.open(tmp_path)

    assert path.read_bytes() == damaged


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.write_text("mine")

    with pytest.raises(DataRefused, match="cannot be used as a data folder"):
        SqliteStore.open(place)

    assert place.read_text() == "mine"


@pytest.mark.parametrize("locked_up", ["folder", "database"])
def test_what_this_user_may_not_write_is_refused_untouched(locked_up: str) -> None:
    folder = Path(tempfile.mkdtemp())
    path = made(folder)
    (folder / LOCK).chmod(0o666)
    folder.chmod(0o555 if locked_up == "folder" else 0o777)
    path.chmod(0o444)
    before = contents(folder)

    server = another_server(folder, "--nobody")
    said, _ = server.communicate(timeout=20)

    assert server.returncode == 2
    assert "writable" in said
    assert len(said.splitlines()) == 1
    assert contents(folder) == before


def test_a_database_that_died_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / f"{DATABASE}.new").write_bytes(b"half a page")
    (tmp_path / f"{DATABASE}.new-journal").write_bytes(b"half a journal")

    with opened(tmp_path) as store:
        assert asyncio.run(store.ripe()) == []

    assert {path.name for path in tmp_path.iterdir()} == {DATABASE, LOCK}


def test_migrating_twice_does_nothing(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "some.db"))

    assert migrate(connection) == newest()
    assert migrate(connection) == 0
    connection.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "some.db"))
    connection.execute("create table sweeps (another)")

    with pytest.raises(apsw.SQLError, match="already exists"):
        migrate(connection)

    assert connection.pragma("user_version") == 0
    assert connection.execute("select group_concat(name) from sqlite_schema").get == "sweeps"
    connection.close()


def test_a_batch_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    """Written by the first schema: one batch of one model, one of two, each with a request leased and final."""
    with closing(apsw.Connection(str(tmp_path / "batchyard.db"))) as old:
        old.execute(migrations()[1])
        old.pragma("user_version", 1)
        old.pragma("application_id", APPLICATION_ID)
        for num, models in ((1, '["","a"]'), (2, '["","a","b"]')):
            old.execute(
                "insert into batches (num, id, workspace, created_at, expires_at, version, betas, models, body, total,"
                " open, fresh, succeeded) values (?, ?, 'w', ?, ?, '2023-06-01', '[]', ?, 'x.body', 1300, 1299, 1, 1)",
                (num, f"msgbatch_{num}", micros(NOW), micros(NOW + DAY), models),
            )
            old.executemany(
                'insert into requests (id, custom_id, "offset", length, crc, prefix, model, state)'
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                ((num << 24 | n, f"r{n}", n, 1, 0, 0, 1 + n % 2 * (num == 2), 2 * (n == 0)) for n in range(1300)),
            )

    async def rest(store: SqliteStore, batch: str, model: str) -> list[int]:
        turn = await store.turn("o", [], [Pick(batch, model, 2000)], NOW)
        return [lease.seq for lease in turn.leases]

    async def main() -> None:
        store = SqliteStore.open(tmp_path, lease_seconds=30)
        ready = {(one.batch, one.model): one.pending for one in await store.backlog(NOW)}
        assert ready == {("msgbatch_1", "a"): 1299, ("msgbatch_2", "a"): 649, ("msgbatch_2", "b"): 650}
        assert await rest(store, "msgbatch_1", "a") == list(range(1, 1300))
        assert await rest(store, "msgbatch_2", "b") == list(range(1, 1300, 2))
        assert await rest(store, "msgbatch_2", "a") == list(range(2, 1300, 2))
        await store.close()

    asyncio.run(main())
