"""Which names the server answers to, what its URLs say, and what operators may ask."""

import asyncio

import pytest

from batchyard.web.settings import WebSettings
from tests.wire.world import HEADERS, World, ask, rendered

PATH = "/v1/messages/batches"
PUBLIC = WebSettings(public_url="https://batches.example/prefix/")


async def url_seen(world: World, peer: str = "127.0.0.1", **headers: str | None) -> str:
    batch_id = await world.ended()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await world.call("GET", f"{PATH}/{batch_id}", headers=named, peer=peer)
    return str(reply.json()["results_url"]).removesuffix(f"{PATH}/{batch_id}/results")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8787", "localhost:1", "localhost", "[::1]:8787", "[::1]", "LocalHost:8787", "localhost.:8787"]
)
def test_loopback_by_any_name_is_ours_and_is_what_the_url_says(host: str) -> None:
    assert asyncio.run(url_seen(World(), host=host)) == f"http://{host}"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "0.0.0.0:8787", "[::2]"]
)
def test_another_name_is_refused(host: str) -> None:
    reply = asyncio.run(World().call("GET", PATH, headers={"host": host}))

    assert reply.error()[:2] == (421, "invalid_request_error")


@pytest.mark.parametrize("host", ["", "a b", "localhost:x", "localhost/..", "[::1", "user@localhost", None])
def test_a_host_that_is_none_is_a_400(host: str | None) -> None:
    assert asyncio.run(World().call("GET", PATH, headers={"host": host})).error()[0] == 400


def test_two_hosts_are_a_400() -> None:
    lines = [*HEADERS.items(), ("host", "localhost")]

    assert asyncio.run(ask(World().app, "GET", PATH, lines)).error()[0] == 400


def test_the_public_url_is_what_the_url_says_with_its_prefix() -> None:
    async def scenario() -> None:
        assert await url_seen(World(PUBLIC), host="127.0.0.1:8787") == "https://batches.example/prefix"
        assert await url_seen(World(PUBLIC), host="batches.example") == "https://batches.example/prefix"

    asyncio.run(scenario())


@pytest.mark.parametrize(("allowed", "host"), [("yard.lan", "yard.lan:8787"), ("*", "anything.example")])
def test_more_names_can_be_allowed(allowed: str, host: str) -> None:
    world = World(WebSettings(allowed_hosts=frozenset({allowed})))

    assert asyncio.run(url_seen(world, host=host)) == f"http://{host}"


def test_a_trusted_proxy_says_how_the_client_came() -> None:
    async def scenario() -> None:
        world = World(WebSettings(allowed_hosts=frozenset({"yard.lan"})))
        forwarded = {"x_forwarded_host": "yard.lan", "x_forwarded_proto": "https"}

        assert await url_seen(world, **forwarded) == "https://yard.lan"
        assert await url_seen(world, peer="203.0.113.9", **forwarded) == "http://127.0.0.1:8787"
        assert await url_seen(world, x_forwarded_proto="javascript") == "http://127.0.0.1:8787"

    asyncio.run(scenario())


def test_a_forwarded_name_must_be_ours_too_and_hides_no_foreign_host() -> None:
    async def scenario() -> None:
        world = World()
        forged = await world.call("GET", PATH, headers={"x-forwarded-host": "evil.example"})
        rebound = await world.call("GET", PATH, headers={"host": "evil.example", "x-forwarded-host": "localhost"})

        assert forged.error()[0] == rebound.error()[0] == 421

    asyncio.run(scenario())


def test_probes_are_answered_under_any_name_without_a_key() -> None:
    async def scenario() -> None:
        world = World()
        bare: dict[str, str | None] = {"x-api-key": None, "anthropic-version": None, "host": "10.0.0.7:8787"}

        assert (await world.call("GET", "/healthz", headers=bare)).status == 200
        assert (await world.call("HEAD", "/readyz", headers=bare)).status == 200
        world.not_ready = "starting"
        assert (await world.call("GET", "/healthz", headers=bare)).status == 200
        reply = await world.call("GET", "/readyz", headers=bare)
        assert (reply.status, reply.json()) == (503, {"status": "not ready", "reason": "starting"})
        assert (await world.call("POST", "/healthz", headers=bare)).error()[0] == 405

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.9", {}, 401),
        ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, 401),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1, 203.0.113.9"}, 401),
        ("203.0.113.9", {"x-forwarded-for": "127.0.0.1"}, 401),
        ("127.0.0.1", {"host": "evil.example"}, 421),
        ("", {}, 401),
    ],
)
def test_metrics_are_for_this_machine(peer: str, headers: dict[str, str | None], status: int) -> None:
    world = World(metrics=rendered)

    reply = asyncio.run(world.call("GET", "/metrics", headers={"x-api-key": None, **headers}, peer=peer))

    assert reply.status == status
    assert (reply.body == b"batchyard_up 1\n") is (status == 200)


def test_without_metrics_there_is_no_such_path() -> None:
    assert asyncio.run(World().call("GET", "/metrics")).error()[0] == 404
