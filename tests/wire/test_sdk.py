"""The official Python SDK as the oracle: nothing changed but base URL and key."""

import asyncio
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types.messages.batch_create_params import Request

from batchyard.domain.result import Canceled, Errored, Expired, RequestError, Succeeded
from batchyard.web.settings import WebSettings
from tests.wire.world import KEY, MESSAGE, World, serving, serving_apart

FATES = (Succeeded(MESSAGE), Errored(RequestError("not_found_error", "model: x")), Canceled(), Expired())


def entries(*custom_ids: str) -> list[Request]:
    return [
        Request(
            custom_id=each,
            params={"model": "simulator", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]},
        )
        for each in custom_ids
    ]


class Site:
    """A served world and a blocking client of it."""

    def __init__(self, settings: WebSettings | None = None) -> None:
        self.world = World(settings or WebSettings())
        self._apart = serving_apart(self.world)

    def __enter__(self) -> "Site":
        url, self.run = self._apart.__enter__()
        self.url = url
        self.client = Anthropic(base_url=url, api_key=KEY, max_retries=0)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._apart.__exit__(None, None, None)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as here:
        yield here


def test_a_whole_life(site: Site) -> None:
    batches = site.client.messages.batches
    created = batches.create(requests=entries("z", "a", "m", "b"))
    assert created.processing_status == "in_progress"
    assert created.request_counts.processing == 4
    assert (created.expires_at - created.created_at).total_seconds() == 86400

    site.run(site.world.finish(created.id, *FATES))

    ended = batches.retrieve(created.id)
    assert ended.processing_status == "ended"
    assert ended.results_url == f"{site.url}/v1/messages/batches/{created.id}/results"
    lines = list(batches.results(created.id))
    assert [line.custom_id for line in lines] == ["z", "a", "m", "b"]
    assert [line.result.type for line in lines] == ["succeeded", "errored", "canceled", "expired"]
    succeeded, errored = lines[0].result, lines[1].result
    assert succeeded.type == "succeeded"
    assert succeeded.message.content[0].type == "text"
    assert errored.type == "errored"
    assert errored.error.error.type == "not_found_error"
    assert errored.error.message == "model: x"  # type: ignore[attr-defined]  # ours, beside the wire's own
    assert batches.delete(created.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        batches.retrieve(created.id)


def test_a_cancel_and_what_may_not_be_done(site: Site) -> None:
    batches = site.client.messages.batches
    created = batches.create(requests=entries("a"))

    with pytest.raises(anthropic.BadRequestError, match="In progress batches cannot be deleted"):
        batches.delete(created.id)
    with pytest.raises(anthropic.NotFoundError, match="message_batch_id"):
        batches.retrieve("message_batch_id")
    assert batches.cancel(created.id).processing_status == "canceling"
    assert batches.cancel(created.id).cancel_initiated_at is not None
    site.run(site.world.seal(created.id))
    assert [line.result.type for line in batches.results(created.id)] == ["canceled"]
    with pytest.raises(anthropic.BadRequestError, match="already finished"):
        batches.cancel(created.id)


def test_pages_follow_one_another_in_both_directions(site: Site) -> None:
    batches = site.client.messages.batches
    ids = [batches.create(requests=entries("a", f"r{seq}")).id for seq in range(7)]

    assert [batch.id for batch in batches.list(limit=2)] == ids[::-1]
    assert [batch.id for batch in batches.list(limit=2, after_id=ids[3])] == ids[2::-1]
    backwards = [batch.id for batch in batches.list(limit=2, before_id=ids[2])]
    assert sorted(backwards) == ids[3:]
    assert len(batches.list(limit=2, after_id=ids[0]).data) == 0


def test_the_beta_namespace_is_the_same(site: Site) -> None:
    batches = site.client.beta.messages.batches
    created = batches.create(requests=entries("a"), betas=["message-batches-2024-09-24", "x"])  # type: ignore[arg-type]

    assert batches.retrieve(created.id).id == created.id
    assert site.run(site.world.store.get("w1", created.id)).betas[:2] == ("message-batches-2024-09-24", "x")


def test_errors_become_the_sdks_exceptions_with_their_request_id(site: Site) -> None:
    stranger = Anthropic(base_url=site.url, api_key="wrong", max_retries=0)
    with stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.batches.list()
    assert str(refused.value.request_id).startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="List should have at least 1 item"):
        site.client.messages.batches.create(requests=[])
    created = site.client.messages.batches.create(requests=entries("a"))
    with pytest.raises(anthropic.NotFoundError, match="no available results"):
        site.client.get(f"/v1/messages/batches/{created.id}/results", cast_to=object)
    with pytest.raises(anthropic.NotFoundError):
        site.client.get("/nothing/here", cast_to=object)


def test_old_clients_send_the_key_in_its_own_header(site: Site) -> None:
    headers = {"x-api-key": KEY, "authorization": anthropic.Omit(), "anthropic-version": "2023-06-01"}
    old = Anthropic(base_url=site.url, api_key="unused", max_retries=0, default_headers=headers)  # type: ignore[arg-type]

    with old:
        created = old.messages.batches.create(requests=entries("a"), extra_query={"beta": "true"})

    assert site.run(site.world.store.get("w1", created.id)).version == "2023-06-01"
    newer = site.client.messages.batches.create(requests=entries("b"))
    assert site.run(site.world.store.get("w1", newer.id)).version == "2026-10-21"


def test_a_body_too_large_is_an_answer_and_not_a_reset() -> None:
    with Site(WebSettings(max_body_bytes=1_000_000)) as site:
        many = entries(*(f"r{seq}" for seq in range(80_000)))

        with pytest.raises(anthropic.APIStatusError) as refused:
            site.client.messages.batches.create(requests=many)

        assert refused.value.status_code == 413


def test_a_create_that_is_tried_again_gets_the_first_batch() -> None:
    with Site() as site:
        first = site.client.messages.batches.create(requests=entries("a"))

        again = site.client.messages.batches.create(
            requests=entries("a"), extra_headers={"x-stainless-retry-count": "1"}
        )

        assert again.id == first.id


def test_the_asynchronous_client() -> None:
    async def scenario() -> None:
        world = World()
        async with (
            serving(world.app) as server,
            AsyncAnthropic(base_url=server.url, api_key=KEY, max_retries=0) as client,
        ):
            batches = client.messages.batches
            ids = [(await batches.create(requests=entries("a", f"r{seq}"))).id for seq in range(5)]
            await world.finish(ids[0], *FATES[:2])
            assert [batch.id async for batch in batches.list(limit=2)] == ids[::-1]
            lines = [line async for line in await batches.results(ids[0])]
            assert [line.result.type for line in lines] == ["succeeded", "errored"]
            assert (await batches.cancel(ids[1])).processing_status == "canceling"
            assert (await batches.delete(ids[0])).id == ids[0]

    asyncio.run(scenario())


def test_a_results_stream_left_half_read_harms_nobody() -> None:
    with Site() as site:
        created = site.client.messages.batches.create(requests=entries(*(f"r{seq}" for seq in range(5000))))
        site.run(site.world.finish(created.id))

        stream = site.client.messages.batches.results(created.id)
        assert next(iter(stream)).custom_id == "r0"
        stream.close()

        assert len(list(site.client.messages.batches.results(created.id))) == 5000
