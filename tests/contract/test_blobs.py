"""What every blob layer promises: bytes that are whole, under a name of their own, or not there at all."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from batchyard.ports import Damaged
from tests.contract.blob_table import ACCEPTED, LAYERS, Layer
from tests.contract.yard import Run


@pytest.fixture(params=[*LAYERS, *(pytest.param(name, marks=pytest.mark.accept) for name in ACCEPTED)])
def layer(request: pytest.FixtureRequest, tmp_path: Path) -> Layer:
    return (LAYERS | ACCEPTED)[request.param](tmp_path)


def written(run: Run, layer: Layer, chunks: list[bytes], kind: str = "body") -> str:
    """Write and finish a blob; return its name."""

    async def write() -> str:
        writer = layer.blobs.writer(kind)
        for chunk in chunks:
            await writer.write(chunk)
        await writer.finish()
        return writer.name

    return run(write())


def whole(run: Run, layer: Layer, name: str) -> bytes:
    """Return all bytes of the blob, as a reader gives them."""

    async def read() -> bytes:
        reader = await layer.blobs.open(name)
        try:
            return await reader.read(0, reader.size)
        finally:
            reader.close()

    return run(read())


def old(run: Run, layer: Layer, seconds: float = 0.0) -> set[str]:
    return set(run(layer.blobs.old(seconds)))


def test_a_blob_is_the_chunks_that_were_written(run: Run, layer: Layer) -> None:
    name = written(run, layer, [b"one,", b"", b"two,", b"\x00\xff\r\n"])

    assert whole(run, layer, name) == b"one,two,\x00\xff\r\n"
    assert run(layer.blobs.read(name, 0, 12)) == b"one,two,\x00\xff\r\n"


def test_a_chunk_may_be_changed_after_it_was_written(run: Run, layer: Layer) -> None:
    async def write() -> str:
        writer = layer.blobs.writer("body")
        window = bytearray(b"first")
        await writer.write(bytes(window))
        window[:] = b"other"
        await writer.write(bytes(window))
        await writer.finish()
        return writer.name

    assert whole(run, layer, run(write())) == b"firstother"


def test_a_blob_may_be_empty(run: Run, layer: Layer) -> None:
    name = written(run, layer, [])

    assert whole(run, layer, name) == b""


def test_a_name_is_new_and_ends_in_its_kind(run: Run, layer: Layer) -> None:
    names = [written(run, layer, [b"x"], kind) for kind in ("body", "results", "body")]

    assert len(set(names)) == 3
    assert [name.rpartition(".")[2] for name in names] == ["body", "results", "body"]


def test_blobs_are_written_side_by_side(run: Run, layer: Layer) -> None:
    async def write() -> tuple[str, str]:
        one, two = layer.blobs.writer("body"), layer.blobs.writer("body")
        for number in range(10):
            await one.write(b"%d" % number)
            await two.write(b"%d" % (9 - number))
        await two.finish()
        await one.finish()
        return one.name, two.name

    one, two = run(write())

    assert whole(run, layer, one) == b"0123456789"
    assert whole(run, layer, two) == b"9876543210"


def test_exactly_the_asked_bytes_are_read(run: Run, layer: Layer) -> None:
    chance = random.Random(7)
    content = chance.randbytes(300_000)
    cuts = [0, 1, 7, 65_535, 65_536, 65_537, 131_072, 200_000, 300_000]
    name = written(run, layer, [content[a:b] for a, b in pairwise(cuts)])
    edges = [(0, 1), (65_535, 2), (65_536, 65_536), (299_999, 1), (0, 300_000), (300_000, 0), (5, 0)]
    ranges = edges + [(start := chance.randrange(300_000), chance.randrange(300_001 - start)) for _ in range(40)]

    async def read() -> None:
        reader = await layer.blobs.open(name)
        assert reader.size == 300_000
        for offset, length in ranges:
            assert await reader.read(offset, length) == content[offset : offset + length]
            assert await layer.blobs.read(name, offset, length) == content[offset : offset + length]
        reader.close()

    run(read())


def test_nobody_reads_a_blob_before_it_is_finished(run: Run, layer: Layer) -> None:
    async def look() -> None:
        writer = layer.blobs.writer("body")
        await writer.write(b"half")
        with pytest.raises(Damaged):
            await layer.blobs.open(writer.name)
        with pytest.raises(Damaged):
            await layer.blobs.read(writer.name, 0, 4)
        await writer.finish()
        assert await layer.blobs.read(writer.name, 0, 4) == b"half"

    run(look())


def test_an_aborted_blob_leaves_nothing(run: Run, layer: Layer) -> None:
    async def abort() -> str:
        writer = layer.blobs.writer("body")
        await writer.write(b"half")
        await writer.abort()
        await writer.abort()
        return writer.name

    name = run(abort())

    with pytest.raises(Damaged):
        run(layer.blobs.open(name))
    layer.grow_old(10)
    assert old(run, layer) == set()


def test_a_blob_that_was_never_written_to_is_aborted_too(run: Run, layer: Layer) -> None:
    run(layer.blobs.writer("body").abort())

    layer.grow_old(10)
    assert old(run, layer) == set()


def test_abort_after_finish_does_nothing(run: Run, layer: Layer) -> None:
    async def write() -> str:
        writer = layer.blobs.writer("body")
        await writer.write(b"whole")
        await writer.finish()
        await writer.abort()
        await writer.abort()
        return writer.name

    assert whole(run, layer, run(write())) == b"whole"


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (4, 2), (5, 1), (6, 1), (1000, 1)])
def test_bytes_behind_the_end_are_damaged(run: Run, layer: Layer, offset: int, length: int) -> None:
    name = written(run, layer, [b"12345"])

    async def read() -> None:
        reader = await layer.blobs.open(name)
        with pytest.raises(Damaged):
            await reader.read(offset, length)
        reader.close()
        with pytest.raises(Damaged):
            await layer.blobs.read(name, offset, length)

    run(read())


@pytest.mark.parametrize("kept", [0, 100_000])
def test_a_blob_cut_short_is_damaged(run: Run, layer: Layer, kept: int) -> None:
    name = written(run, layer, [b"x" * 200_000])
    layer.cut(name, kept)

    with pytest.raises(Damaged):
        whole(run, layer, name)
    with pytest.raises(Damaged):
        run(layer.blobs.read(name, 0, 200_000))


@pytest.mark.parametrize("at", [0, 65_536, 199_999])
def test_a_reader_does_not_give_what_was_not_written(run: Run, layer: Layer, at: int) -> None:
    name = written(run, layer, [b"x" * 200_000])
    layer.flip(name, at)

    async def read() -> None:
        reader = await layer.blobs.open(name)
        with pytest.raises(Damaged):
            await reader.read(at, 1)
        with pytest.raises(Damaged):
            await reader.read(0, 200_000)
        reader.close()

    run(read())


def test_a_missing_blob_is_damaged(run: Run, layer: Layer) -> None:
    with pytest.raises(Damaged):
        run(layer.blobs.open("0" * 32 + ".body"))
    with pytest.raises(Damaged):
        run(layer.blobs.read("0" * 32 + ".body", 0, 1))


def test_a_deleted_blob_is_missing(run: Run, layer: Layer) -> None:
    name, other = written(run, layer, [b"gone"]), written(run, layer, [b"kept"])

    run(layer.blobs.delete(name))
    run(layer.blobs.delete(name))
    run(layer.blobs.delete("0" * 32 + ".body"))

    with pytest.raises(Damaged):
        run(layer.blobs.open(name))
    with pytest.raises(Damaged):
        run(layer.blobs.read(name, 0, 4))
    assert whole(run, layer, other) == b"kept"
    layer.grow_old(10)
    assert old(run, layer) == {other}


def test_a_reader_reads_on_though_the_blob_is_deleted(run: Run, layer: Layer) -> None:
    name = written(run, layer, [b"a" * 100_000, b"b" * 100_000])

    async def read() -> None:
        reader = await layer.blobs.open(name)
        assert await reader.read(0, 10) == b"a" * 10
        await layer.blobs.delete(name)
        assert reader.size == 200_000
        assert await reader.read(99_999, 2) == b"ab"
        assert await reader.read(0, 200_000) == b"a" * 100_000 + b"b" * 100_000
        reader.close()
        reader.close()

    run(read())


def test_one_blob_has_several_readers(run: Run, layer: Layer) -> None:
    name = written(run, layer, [b"0123456789"])

    async def read() -> None:
        one, two = await layer.blobs.open(name), await layer.blobs.open(name)
        assert await one.read(8, 2) == b"89"
        one.close()
        assert await two.read(0, 2) == b"01"
        two.close()

    run(read())


def test_old_lists_finished_and_unfinished_blobs(run: Run, layer: Layer) -> None:
    finished = written(run, layer, [b"x"])

    async def look() -> None:
        writer = layer.blobs.writer("results")
        await writer.write(b"half")
        assert set(await layer.blobs.old(100)) == set()
        layer.grow_old(101)
        assert set(await layer.blobs.old(100)) == {finished, writer.name}
        assert set(await layer.blobs.old(1000)) == set()
        await writer.abort()

    run(look())


def test_old_leaves_out_what_was_written_since(run: Run, layer: Layer) -> None:
    before = written(run, layer, [b"x"])
    layer.grow_old(101)
    written(run, layer, [b"y"])

    assert old(run, layer, 100) == {before}


def test_writing_keeps_a_blob_young(run: Run, layer: Layer) -> None:
    async def write() -> None:
        writer = layer.blobs.writer("body")
        await writer.write(b"x" * 100_000)
        layer.grow_old(80)
        await writer.write(b"y" * 2_000_000)
        layer.grow_old(80)
        assert list(await layer.blobs.old(100)) == []
        layer.grow_old(80)
        assert list(await layer.blobs.old(100)) == [writer.name]
        await writer.abort()

    run(write())


def test_an_unfinished_blob_can_be_deleted(run: Run, layer: Layer) -> None:
    async def leave() -> None:
        writer = layer.blobs.writer("body")
        await writer.write(b"left by a crash")
        await layer.blobs.delete(writer.name)
        layer.grow_old(10)
        assert list(await layer.blobs.old(0)) == []
        await writer.abort()

    run(leave())
