"""What the blobs of an object store promise beyond the contract: several processes, a bucket in trouble, memory."""

import asyncio
import os
import secrets
import subprocess
import sys
from pathlib import Path

import obstore
import pytest

from batchyard.blobs import object_writer
from batchyard.blobs.bucket import OWNER, Bucket
from batchyard.blobs.files import FileBlobs
from batchyard.blobs.objects import ObjectBlobs
from batchyard.domain.errors import DataRefused, StoreUnavailable
from batchyard.ports import Damaged
from tests.contract.yard import Run
from tests.object_store import ObjectStore, shared
from tests.object_stores import STORES


class Hands:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture(params=["s3", "gs", pytest.param("az", marks=pytest.mark.accept)])
def url(request: pytest.FixtureRequest) -> str:
    return STORES[request.param]().url(secrets.token_hex(8))


async def written(blobs: ObjectBlobs, *chunks: bytes) -> str:
    writer = blobs.writer("body")
    for chunk in chunks:
        await writer.write(chunk)
    await writer.finish()
    return writer.name


def test_what_one_process_writes_another_reads_and_deletes(run: Run, url: str) -> None:
    async def main() -> None:
        one, other = ObjectBlobs(Bucket.open(url, "db")), ObjectBlobs(Bucket.open(url, "db"))
        name = await written(one, b"a" * 3_000_000, b"b" * 12_000_000)

        assert await other.read(name, 2_999_999, 2) == b"ab"
        reader = await other.open(name)
        assert reader.size == 15_000_000
        assert await reader.read(14_999_990, 10) == b"b" * 10
        reader.close()
        await other.delete(name)
        with pytest.raises(Damaged):
            await one.open(name)

    run(main())


def test_the_age_of_what_others_wrote_is_told_by_the_object_stores_clock(run: Run, url: str) -> None:
    async def main() -> None:
        hands = Hands()
        one, other = ObjectBlobs(Bucket.open(url, "db")), ObjectBlobs(Bucket.open(url, "db"), monotonic=hands)
        name = await written(one, b"x")
        hands.at += 1_000_000

        assert list(await other.old(3600.0)) == []
        assert list(await other.old(-1.0)) == [name]

    run(main())


def test_a_long_upload_is_young_when_it_ends_though_the_store_dates_it_by_its_begin(run: Run, url: str) -> None:
    async def main() -> None:
        hands = Hands()
        one, bucket = ObjectBlobs(Bucket.open(url, "db"), monotonic=hands), Bucket.open(url, "db")
        writer = one.writer("body")
        await writer.write(b"slowly")
        hands.at += object_writer.LONG_SECONDS + 1
        await writer.finish()

        assert set(bucket.ages()) == {OWNER, writer.name, writer.name + object_writer.MARK}
        await one.delete(writer.name)
        assert set(bucket.ages()) == {OWNER}

    run(main())


def test_an_upload_that_is_given_up_leaves_no_parts(run: Run, url: str) -> None:
    async def main() -> None:
        bucket = Bucket.open(url, "db")
        writer = ObjectBlobs(bucket).writer("body")
        await writer.write(b"x" * 20_000_000)
        await writer.abort()

        assert set(bucket.ages()) == {OWNER}

    run(main())
    listed = shared().text("GET", "/batches?uploads")
    assert b"<Upload>" not in listed


def test_a_prefix_belongs_to_one_store(url: str) -> None:
    Bucket.open(url, "database one")

    with pytest.raises(DataRefused, match="belongs to another Batchyard"):
        Bucket.open(url, "database two")
    Bucket.open(url, "database one")


def test_a_prefix_of_another_program_is_refused(url: str) -> None:
    bucket = Bucket.open(url, "db")
    bucket.put(OWNER, b'["something else"]')

    with pytest.raises(DataRefused, match="is not of Batchyard"):
        Bucket.open(url, "db")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("s3://there-is-none/p", "there is no such bucket"),
        ("http://example.invalid/p", "must be s3://"),
        ("s3:///p", "must be s3://"),
        ("file:///tmp", "must be s3://"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(wrong: str, told: str) -> None:
    shared()

    with pytest.raises(DataRefused, match=told) as refused:
        Bucket.open(wrong, "db")
    assert "\n" not in str(refused.value)


def test_a_bucket_without_rights_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise obstore.exceptions.PermissionDeniedError("not allowed\nand much more")

    monkeypatch.setattr(obstore, "put", denied)

    with pytest.raises(DataRefused, match=r"batchyard\.json cannot be written: not allowed$"):
        Bucket.open(url, "db")


def test_a_bucket_that_is_gone_is_waited_for_and_a_missing_object_is_not(run: Run) -> None:
    async def main() -> None:
        with ObjectStore() as server:
            os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.port}"
            blobs = ObjectBlobs(Bucket.open(server.url("p"), "db"))
            os.environ.update(shared().environ)
            name = await written(blobs, b"whole")
            with pytest.raises(Damaged):
                await blobs.read("0" * 32 + ".body", 0, 1)

            assert server.ask("POST", "/moto-api/reset") == 200

            with pytest.raises(StoreUnavailable, match="the bucket is gone"):
                await blobs.read(name, 0, 5)
            with pytest.raises(StoreUnavailable, match="no such bucket"):
                await written(blobs, b"more")
            with pytest.raises(StoreUnavailable, match="no such bucket"):
                await written(blobs, b"x" * 20_000_000)

    shared()
    run(main())


MEASURED = """
import asyncio, resource, sys
from batchyard.blobs.bucket import Bucket
from batchyard.blobs.files import FileBlobs
from batchyard.blobs.objects import ObjectBlobs

async def main():
    blobs = ObjectBlobs(Bucket.open(sys.argv[1], "db"))
    await (warm := blobs.writer("body")).write(b"x")
    await warm.finish()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    writer = blobs.writer("body")
    for number in range(96):
        await writer.write(bytes([number]) * 1_000_000)
    await writer.finish()
    wrote = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = await blobs.open(writer.name)
    for number in range(96):
        for at in range(0, 1_000_000, 250_000):
            assert await reader.read(number * 1_000_000 + at, 250_000) == bytes([number]) * 250_000
    read = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((wrote - before) // 1024, (read - wrote) // 1024)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "url", ["s3", *(pytest.param(kind, marks=pytest.mark.accept) for kind in ("gs", "az"))], indirect=True
)
def test_a_long_blob_is_written_and_read_in_bounded_memory(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, url], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    written_mb, read_mb = map(int, done.stdout.split())
    assert written_mb < 64
    assert read_mb < 32


def test_requests_of_a_body_share_calls(run: Run, url: str) -> None:
    async def main() -> None:
        bucket = Bucket.open(url, "db")
        name = await written(ObjectBlobs(bucket), bytes(range(256)) * 12_000)
        calls: list[tuple[int, int]] = []

        class Counting(Bucket):
            def read(self, name: str, offset: int, length: int) -> bytes:
                calls.append((offset, length))
                return super().read(name, offset, length)

        blobs = ObjectBlobs(Counting(bucket._store, bucket.shown))
        found = await asyncio.gather(*[blobs.read(name, at, 1000) for at in range(0, 3_000_000, 1000)])

        assert found == [(bytes(range(256)) * 5)[at % 256 :][:1000] for at in range(0, 3_000_000, 1000)]
        assert len(calls) == 3

    run(main())


def test_files_and_objects_have_the_same_form(run: Run, url: str, tmp_path: Path) -> None:
    async def main() -> None:
        bucket, files = Bucket.open(url, "db"), FileBlobs(tmp_path)
        name = await written(ObjectBlobs(bucket), b"the same", b" bytes")
        file = files.writer("body")
        await file.write(b"the same bytes")
        await file.finish()

        assert files.path(file.name).read_bytes() == bucket.read(name, 0, 10_000)

    run(main())
