"""Results: the sealed bytes, whole or by range, or cut; never a clean end with lines missing."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from batchyard.domain.batch import Batch
from batchyard.domain.errors import NotFound, StoreUnavailable
from batchyard.domain.events import DamageFound
from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Succeeded
from batchyard.ports import BlobReader
from batchyard.testing.blobs import MemoryBlobs
from batchyard.web.protocol import Cut
from batchyard.web.settings import WebSettings
from tests.wire.world import MESSAGE, Reply, World

PATH = "/v1/messages/batches"
SMALL_READS = WebSettings(read_bytes=64, recheck_seconds=0.01)


async def results(world: World, batch_id: str, **headers: str) -> Reply:
    return await world.call(
        "GET", f"{PATH}/{batch_id}/results", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def test_lines_come_in_the_order_of_the_requests_with_length_and_tag() -> None:
    async def scenario() -> None:
        world = World(SMALL_READS)
        batch_id = await world.create("z", "a", "m", "b")
        error = Errored(RequestError("not_found_error", "model: x"))
        await world.finish(batch_id, Succeeded(MESSAGE), error, Canceled(), Expired())

        reply = await results(world, batch_id, accept="application/binary", accept_encoding="gzip, deflate")

        assert reply.status == 200
        assert reply.body.decode() == (
            f'{{"custom_id":"z","result":{{"type":"succeeded","message":{MESSAGE.decode()}}}}}\n'
            '{"custom_id":"a","result":{"type":"errored","error":{"type":"error","error":{"type":"not_found_error",'
            '"message":"model: x"},"request_id":null,"message":"model: x"}}}\n'
            '{"custom_id":"m","result":{"type":"canceled"}}\n'
            '{"custom_id":"b","result":{"type":"expired"}}\n'
        )
        assert reply.whole
        assert reply.header("content-type") == "application/x-jsonl"
        assert reply.header("content-length") == str(len(reply.body))
        assert reply.header("etag") == f'"{hashlib.sha256(reply.body).hexdigest()}"'
        assert reply.header("accept-ranges") == "bytes"
        assert reply.header("content-encoding") is reply.header("transfer-encoding") is None
        assert (await results(world, batch_id)).body == reply.body

    asyncio.run(scenario())


@pytest.mark.parametrize("canceled", [False, True])
def test_before_the_end_there_are_no_results(canceled: bool) -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.create()
        if canceled:
            await world.call("POST", f"{PATH}/{batch_id}/cancel")

        reply = await results(world, batch_id)

        assert reply.error() == (404, "not_found_error", f"Message Batch {batch_id} has no available results.")

    asyncio.run(scenario())


def test_an_archived_batch_has_no_results_any_more() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        await world.store.archive(world.clock.now() + timedelta(days=1), world.clock.now())

        assert (await results(world, batch_id)).error()[2] == f"Message Batch {batch_id} has no available results."
        shown = (await world.call("GET", f"{PATH}/{batch_id}")).json()
        assert shown["results_url"] is None
        assert shown["archived_at"] is not None

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=5-99", 5, 100),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999", 0, None),
        ("bytes=10-99999999", 10, None),
        ("Bytes = 1-2", None, None),
        ("BYTES=1-2", 1, 3),
    ],
)
def test_a_range_gives_just_those_bytes(asked: str, first: int | None, end: int | None) -> None:
    async def scenario() -> None:
        world = World(SMALL_READS)
        batch_id = await world.ended("a", "b")
        whole = (await results(world, batch_id)).body

        part = await results(world, batch_id, range=asked)

        if first is None:
            assert (part.status, part.body) == (200, whole)
            return
        assert part.status == 206
        assert part.body == whole[first:end]
        begin = first % len(whole)
        assert part.header("content-range") == f"bytes {begin}-{begin + len(part.body) - 1}/{len(whole)}"
        assert part.header("content-length") == str(len(part.body))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=5-1", "bytes=-", "bytes=a-b", "bytes", "bytes=1"]
)
def test_what_is_no_single_range_gives_the_whole(asked: str) -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()

        assert (await results(world, batch_id, range=asked)).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("asked", ["bytes=100000-", "bytes=100000-100001", "bytes=-0"])
def test_a_range_behind_the_end_is_a_416(asked: str) -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        size = len((await results(world, batch_id)).body)

        reply = await results(world, batch_id, range=asked)

        assert reply.error()[:2] == (416, "invalid_request_error")
        assert reply.header("content-range") == f"bytes */{size}"

    asyncio.run(scenario())


def test_conditions_compare_the_tag() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        tag = (await results(world, batch_id)).header("etag") or ""

        assert (await results(world, batch_id, range="bytes=0-1", if_range=tag)).status == 206
        assert (await results(world, batch_id, range="bytes=0-1", if_range='"other"')).status == 200
        assert (await results(world, batch_id, range="bytes=0-1", if_range="W/" + tag)).status == 200
        unchanged = await results(world, batch_id, if_none_match=f'"x", {tag}')
        assert (unchanged.status, unchanged.body, unchanged.header("etag")) == (304, b"", tag)
        assert (await results(world, batch_id, if_none_match='"x"')).status == 200

    asyncio.run(scenario())


def test_head_tells_the_length_and_opens_nothing() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        whole = await results(world, batch_id)
        [name] = [each for each in world.blobs.names if each.endswith(".results")]
        await world.blobs.delete(name)

        head = await world.call("HEAD", f"{PATH}/{batch_id}/results", headers={"range": "bytes=0-1"})

        assert (head.status, head.body) == (200, b"")
        assert head.header("content-length") == str(len(whole.body))
        assert head.header("etag") == whole.header("etag")

    asyncio.run(scenario())


def results_blob(world: World) -> str:
    [name] = [each for each in world.blobs.names if each.endswith(".results")]
    return name


def test_damage_at_the_start_is_a_500_that_need_not_be_retried() -> None:
    async def scenario() -> None:
        world = World(SMALL_READS)
        batch_id = await world.ended("a", "b")
        world.blobs.flip(results_blob(world), 3)

        reply = await results(world, batch_id)

        assert reply.error()[:2] == (500, "api_error")
        assert reply.header("x-should-retry") == "false"
        assert isinstance(world.events[-1], DamageFound)

    asyncio.run(scenario())


def test_a_missing_file_is_damage() -> None:
    async def scenario() -> None:
        world = World()
        batch_id = await world.ended()
        await world.blobs.delete(results_blob(world))

        assert (await results(world, batch_id)).status == 500
        assert isinstance(world.events[-1], DamageFound)

    asyncio.run(scenario())


def test_damage_further_on_cuts_the_answer() -> None:
    async def scenario() -> None:
        world = World(SMALL_READS)
        batch_id = await world.ended("a", "b")
        world.blobs.flip(results_blob(world), 200)

        with pytest.raises(Cut):
            await results(world, batch_id)
        assert isinstance(world.events[-1], DamageFound)

    asyncio.run(scenario())


class DeletedJustNow(MemoryBlobs):
    """The batch is deleted between the look at it and the opening of its file."""

    world: World

    async def open(self, name: str) -> Any:
        [batch] = (await self.world.store.page("w1", after=None, before=None, limit=1)).batches
        await self.world.store.delete("w1", batch.id)
        await self.delete(name)
        return await super().open(name)


def test_a_batch_deleted_just_now_is_not_found_and_not_damaged() -> None:
    async def scenario() -> None:
        blobs = DeletedJustNow()
        world = World(blobs=blobs)
        blobs.world = world
        batch_id = await world.ended()

        assert (await results(world, batch_id)).error()[:2] == (404, "not_found_error")
        assert not [event for event in world.events if isinstance(event, DamageFound)]

    asyncio.run(scenario())


class SlowReader:
    """Waits before its second part, as a slow client would make it wait; tells when it was let go."""

    def __init__(self, reader: BlobReader, world: "World", gate: asyncio.Event) -> None:
        self.size = reader.size
        self.closed = False
        self._reader = reader
        self._gate = gate

    async def read(self, offset: int, length: int) -> bytes:
        if offset:
            await self._gate.wait()
        return await self._reader.read(offset, length)

    def close(self) -> None:
        self.closed = True


class SlowBlobs(MemoryBlobs):
    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.readers: list[SlowReader] = []

    async def open(self, name: str) -> Any:
        self.readers.append(SlowReader(await super().open(name), World(), self.gate))
        return self.readers[-1]


@pytest.mark.parametrize("how", ["deleted", "archived"])
def test_a_download_is_cut_once_its_batch_is_gone(how: str) -> None:
    async def scenario() -> None:
        blobs = SlowBlobs()
        world = World(SMALL_READS, blobs=blobs)
        batch_id = await world.ended("a", "b")
        download = asyncio.create_task(results(world, batch_id))
        while not blobs.readers:
            await asyncio.sleep(0)

        if how == "deleted":
            assert (await world.call("DELETE", f"{PATH}/{batch_id}")).status == 200
        else:
            await world.store.archive(world.clock.now() + timedelta(days=1), world.clock.now())

        with pytest.raises(Cut):
            await asyncio.wait_for(download, 5)
        assert blobs.readers[0].closed

    asyncio.run(scenario())


class ForgetfulStore:
    """Cannot be read for a while after the first look."""

    def __init__(self, world: World, failures: int) -> None:
        self._world, self._failures, self.looks = world, failures, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.store, name)

    async def get(self, workspace: str, batch_id: str) -> Batch:
        self.looks += 1
        if 1 < self.looks <= 1 + self._failures:
            raise StoreUnavailable("not now")
        if self.looks > 1 + self._failures:
            raise NotFound("gone")
        return await self._world.store.get(workspace, batch_id)


def test_a_store_that_cannot_be_read_for_a_while_cuts_no_download() -> None:
    async def scenario() -> None:
        blobs = SlowBlobs()
        world = World(SMALL_READS, blobs=blobs)
        store = ForgetfulStore(world, failures=3)
        world.batches_seen_as = store
        batch_id = await world.ended("a", "b")

        with pytest.raises(Cut):
            await results(world, batch_id)
        assert store.looks == 5

    asyncio.run(scenario())


def test_a_reader_is_closed_after_the_download() -> None:
    async def scenario() -> None:
        blobs = SlowBlobs()
        blobs.gate.set()
        world = World(SMALL_READS, blobs=blobs)
        batch_id = await world.ended()

        assert (await results(world, batch_id)).whole
        assert blobs.readers[0].closed

    asyncio.run(scenario())
