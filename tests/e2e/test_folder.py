"""Check and backup of a data folder, on the folder and through the server that holds it; damage, and the way back."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from batchyard import app, backup, checkup
from batchyard.domain.errors import DataRefused
from batchyard.store import copies, database
from tests.e2e.processes import CountingUpstream, ServerProcess

BATCHES = "/v1/messages/batches"


def batchyard(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "batchyard", *words], capture_output=True, text=True, timeout=60, check=False
    )


def check(folder: Path) -> dict[str, Any]:
    """Return the report, after a look at the exit status."""
    done = batchyard("check", "--json", "--data", str(folder))
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == bool(report["findings"])
    return report


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(server: ServerProcess, batch: str) -> bool:
    return bool(server.call("GET", f"{BATCHES}/{batch}")["processing_status"] == "ended")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a server that was stopped, a batch of it that ended, and one that runs."""
    folder = tmp_path_factory.mktemp("made")
    with CountingUpstream(latency=0.0) as upstream:
        with ServerProcess(folder / "data", "--upstream", upstream.url) as server:
            done = server.create(30, words="done")["id"]
            until(lambda: ended(server, done))
        with ServerProcess(folder / "data", "--upstream", "http://127.0.0.1:9") as server:
            runs = server.create(300, words="runs")["id"]
            assert server.stop() == 0
    return folder / "data", done, runs


@pytest.fixture
def data(made: tuple[Path, str, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "data"))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def one(data: Path, kind: str) -> Path:
    [path] = (data / "blobs").glob(f"*.{kind}")
    return path


def test_a_sound_folder_has_no_findings(data: Path) -> None:
    report = check(data)

    assert report["findings"] == []
    assert report["batches"] == 2
    assert report["files"] == 4


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        ("results", lambda path: flip(path, 70), "block 0 is damaged"),
        ("index", lambda path: flip(path, path.stat().st_size - 10), "trailer"),
        ("ledger", Path.unlink, "missing"),
        ("body", lambda path: path.write_bytes(path.read_bytes()[:-1]), "trailer"),
    ],
)
def test_a_damaged_file_is_named_with_its_batch(
    made: tuple[Path, str, str], data: Path, kind: str, spoil: Callable[[Path], None], said: str
) -> None:
    path = next(path for path in (data / "blobs").glob(f"*.{kind}") if check_body(path, kind))
    spoil(path)

    [finding] = checkup.look(data).findings

    assert finding.file == f"blobs/{path.name}"
    assert finding.batch == (made[2] if kind == "body" else made[1])
    assert said in finding.problem
    assert "backup" in finding.advice


def check_body(path: Path, kind: str) -> bool:
    """Whether the file is the one that is still needed: the body of an ended batch is not."""
    return kind != "body" or b"runs 0" in path.read_bytes()


def test_a_damaged_page_is_found_and_the_backup_is_named(data: Path, tmp_path: Path) -> None:
    assert batchyard("backup", str(tmp_path / "kept"), "--data", str(data)).returncode == 0
    path = data / "batchyard.db"
    flip(path, path.stat().st_size // 4096 // 2 * 4096 + 2000)

    findings = check(data)["findings"]
    refused = batchyard("serve", "--port", "0", "--data", str(data))

    assert findings
    assert all(str(tmp_path / "kept") in finding["advice"] for finding in findings)
    assert refused.returncode == 2
    assert f"restore the newest backup, {tmp_path / 'kept'} of 20" in refused.stderr


def test_numbers_that_do_not_fit_are_found(made: tuple[Path, str, str], data: Path) -> None:
    connection = database.connect(data / "batchyard.db", None, apsw.SQLITE_OPEN_READWRITE)
    connection.execute("update batches set leased = 3 where id = ?", (made[2],))
    connection.close()

    findings = checkup.look(data).findings

    assert {finding.batch for finding in findings} == {made[2]}
    assert "0 requests in flight where 3 should be" in [finding.problem for finding in findings]


def test_what_is_no_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (("check",), ("backup", str(tmp_path / "to"))):
        done = batchyard(*words, "--data", str(tmp_path / "empty"))
        assert done.returncode == 2
        assert "has no batchyard.db" in done.stderr


@pytest.mark.parametrize("where", ["", "inside", "of/another/program"])
def test_a_backup_overwrites_nothing_that_is_none(data: Path, tmp_path: Path, where: str) -> None:
    to = {"": data, "inside": data / "inside", "of/another/program": tmp_path / "theirs"}[where]
    if to == tmp_path / "theirs":
        to.mkdir()
        (to / "letter").write_text("dear")

    done = batchyard("backup", str(to), "--data", str(data))

    assert done.returncode == 2
    assert "name a" in done.stderr
    assert not (to / "backup.json").exists()


@pytest.mark.parametrize("with_server", [True, False])
def test_a_backup_to_a_file_is_refused_in_words(data: Path, tmp_path: Path, with_server: bool) -> None:
    (tmp_path / "file").touch()
    words = ("backup", str(tmp_path / "file"), "--data", str(data))
    if with_server:
        with ServerProcess(data):
            done = batchyard(*words)
    else:
        done = batchyard(*words)

    assert done.returncode == 2
    assert (
        done.stderr
        == f"batchyard: {tmp_path / 'file'} cannot be used as a data folder: Not a directory; name another.\n"
    )


def test_a_backup_of_pages_that_lie_in_the_log_alone_is_sound(data: Path, tmp_path: Path) -> None:
    """Their checksums are reckoned when they leave the log, or are copied: also of a database larger than the cache."""
    filler = "with recursive n(i) as (values(1) union all select i + 1 from n where i < 50000) "
    writer = database.open_writer(data / database.NAME, None)
    writer.execute(f"{filler}insert into owners (id, beat) select printf('%0100d', i), 1 from n")
    writer.close()
    writer = database.open_writer(data / database.NAME, None)
    try:
        writer.execute("update owners set beat = beat + 1 where num < 100")
        backup.make(data, tmp_path / "to")
    finally:
        writer.close()

    assert checkup.look(tmp_path / "to").findings == []
    database.open_writer(tmp_path / "to" / database.NAME, None).close()


def test_a_backup_that_finds_no_room_blames_the_copy_and_goes_on_later(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, copy = tmp_path / "to", copies.copy_database

    def on_a_full_disk(source: Path, target: Path) -> set[str]:
        target.touch()
        raise apsw.FullError("not an error")

    monkeypatch.setattr(copies, "copy_database", on_a_full_disk)
    with pytest.raises(DataRefused, match=re.escape(f"{to} has no space left")) as refused:
        backup.make(data, to)
    assert str(data) not in str(refused.value)
    monkeypatch.setattr(copies, "copy_database", copy)
    monkeypatch.setattr(backup, "_copy_file", lambda *_: 1 / 0)  # it dies in the middle
    with pytest.raises(ZeroDivisionError):
        backup.make(data, to)
    monkeypatch.undo()

    assert backup.make(data, to).files
    assert checkup.look(to).findings == []


def test_a_folder_of_somebody_elses_blobs_is_no_backup_that_was_cut(data: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "to" / "blobs" / "letter"
    theirs.parent.mkdir(parents=True)
    theirs.touch()

    with pytest.raises(DataRefused, match="neither empty nor a backup"):
        backup.make(data, tmp_path / "to")
    assert theirs.exists()


@pytest.mark.parametrize("words", [("list",), ("revoke", "key_1"), ("rotate", "key_1")])
def test_keys_are_sought_in_folders_of_ours_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = batchyard("keys", *words, "--data", str(tmp_path / "typo"))

    assert done.returncode == 2
    assert "typo has no batchyard.db and no keys.db: name the data folder of a server" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_the_first_key_of_a_new_folder_says_that_it_is_new(tmp_path: Path) -> None:
    words = ("keys", "create", "--workspace", "w", "--data", str(tmp_path / "new"))

    assert f"{tmp_path / 'new'} is a new data folder" in batchyard(*words).stderr
    assert "new data folder" not in batchyard(*words).stderr
    assert batchyard("keys", "list", "--data", str(tmp_path / "new")).stdout.count("key_") == 2


def test_only_who_may_read_the_folder_may_ask_its_server(data: Path, tmp_path: Path) -> None:
    with ServerProcess(data) as server:
        for token in ("", "0" * 64):
            body = json.dumps({"to": str(tmp_path / "stolen")}).encode()
            status, _ = server.raw("POST", "/batchyard/v1/folder/backup", body, {"batchyard-owner": token})
            assert status == 403
        assert not (tmp_path / "stolen").exists()
        token = json.loads((data / "owner.lock").read_text())["token"]
        status, said = server.raw("POST", "/batchyard/v1/folder/backup", b'{"to": "here"}', {"batchyard-owner": token})
        assert (status, b"absolute" in said) == (400, True)
        assert (data / "owner.lock").stat().st_mode & 0o077 == 0
        assert token not in server.log()


def test_a_backup_under_load_is_sound_each_time_and_can_be_started(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    with CountingUpstream(latency=0.01) as upstream:
        options = ("--upstream", upstream.url, "--concurrency", "20")
        with ServerProcess(data, *options) as server:
            big = server.create(1500, words="big")["id"]
            small = [server.create(20, words=f"small {n}")["id"] for n in range(4)]
            for batch in small:
                until(lambda batch=batch: ended(server, batch))  # type: ignore[misc]
                server.call("DELETE", f"{BATCHES}/{batch}") if batch in small[::2] else None
                copied = app.back_up(data, kept)
                assert (copied.damaged, copied.missing) == ([], [])
                assert checkup.look(kept).findings == []
            assert app.check(data).findings == []
            text = server.raw("GET", f"{BATCHES}/{small[1]}/results")[1]

        assert not list(kept.glob("*-wal"))
        shutil.rmtree(data)
        shutil.copytree(kept, data)
        with ServerProcess(data, *options) as server:
            assert server.raw("GET", f"{BATCHES}/{small[1]}/results")[1] == text
            assert server.raw("GET", f"{BATCHES}/{small[0]}")[0] == 404
            until(lambda: ended(server, big), 60)
            assert len(server.results(big)) == 1500


def test_a_renewed_backup_copies_what_is_new_and_drops_what_is_gone(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first, again = backup.make(data, kept), backup.make(data, kept)
    flip(one(kept, "results"), 70)
    (kept / "blobs" / f"{'0' * 32}.results").write_text("of a batch that was deleted")
    mended = backup.make(data, kept)
    one(data, "ledger").unlink()
    lacking = backup.make(data, kept)

    assert (first.files, first.kept) == (5, 0)
    assert (again.files, again.kept) == (0, 5)
    assert (mended.files, mended.kept, mended.removed) == (1, 4, 1)
    assert len(list((kept / "blobs").iterdir())) == 5
    assert lacking.missing == [], "the backup still has what the folder lost"
    assert checkup.look(kept).findings == []
    shutil.rmtree(kept)
    assert len(backup.make(data, kept).missing) == 1


def test_a_file_that_goes_during_a_backup_is_asked_for_by_no_later_snapshot(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots: list[str] = []

    def copy_database(source: Path, target: Path) -> set[str]:
        names = true(source, target)
        snapshots.append(source.name)
        return names | {f"{'0' * 32}.results"} if len(snapshots) == 1 else names

    true = copies.copy_database
    monkeypatch.setattr(copies, "copy_database", copy_database)

    assert backup.make(data, tmp_path / "kept").missing == []
    assert snapshots[:2] == ["batchyard.db", "batchyard.db"]


def test_a_start_says_what_it_found_and_deletes_what_no_batch_names(tmp_path: Path) -> None:
    def found(server: ServerProcess) -> dict[str, Any]:
        lines = [json.loads(line) for line in server.log().splitlines() if '"start_finished"' in line]
        told: dict[str, Any] = lines[-1]
        return told

    data = tmp_path / "data"
    with (
        CountingUpstream(latency=20.0) as upstream,
        ServerProcess(data, "--upstream", upstream.url, "--concurrency", "3") as server,
    ):
        assert [found(server)[what] for what in ("log_bytes", "leases", "files", "batches")] == [0, 0, 0, 0]
        server.create(10)
        until(lambda: upstream.in_flight == 3)
        server.kill()
        left = [data / "blobs" / f"{'a' * 32}.results", data / "blobs" / f"{'b' * 32}.body.part"]
        for path in left:
            path.write_bytes(b"what a killed server had deleted, but for the file")
        (data / "blobs" / "notes.txt").write_text("of the operator")
        server.start()

        told = found(server)
        assert told["log_bytes"] > 0
        assert [told[what] for what in ("leases", "files", "batches", "requests")] == [3, 2, 1, 10]
        assert not any(path.exists() for path in left)
        assert (data / "blobs" / "notes.txt").exists()
