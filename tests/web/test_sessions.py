"""Who gets in, and what a form must prove."""

import asyncio
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from batchyard.domain.access import ALL
from batchyard.domain.batch import Status
from batchyard.web.api import Api
from batchyard.web.dashboard.sessions import LIFETIME_SECONDS
from batchyard.web.keys import KeyBook, OpenUntilFirstKey
from batchyard.web.settings import WebSettings
from tests.web.visitor import ORIGIN, Visitor, open_world, text
from tests.wire.world import KEY, SetClock, World


def pages(world: World) -> list[tuple[str, str]]:
    app = world.app
    assert isinstance(app, Api)
    return [(route.method, route.path) for route in app.pages.routes.all]


def test_without_a_key_every_page_leads_to_the_sign_in_and_no_form_does_anything() -> None:
    async def go() -> None:
        world = World()
        batch = await world.create("a")
        visitor = Visitor(world)
        for method, path in pages(world):
            where = path.replace("{batch_id}", batch)
            await visitor.go("/sign-in")
            reply = await (visitor.go(where) if method == "GET" else visitor.send(where))
            assert (reply.status, reply.body) == (303, b""), path
            assert str(reply.header("location")).startswith("/sign-in"), path
        held = await world.store.get("w1", batch)
        assert (held.status, held.paused) == (Status.IN_PROGRESS, False)

    asyncio.run(go())


def test_a_key_signs_in_and_the_cookie_is_nobody_elses_to_read() -> None:
    async def go() -> None:
        world = World()
        visitor = Visitor(world)

        reply = await visitor.sign_in()

        assert (reply.status, reply.header("location")) == (303, "/")
        [cookie] = [value for name, value in reply.headers if name == "set-cookie"]
        name, *rest = cookie.split("; ")
        assert name.startswith("batchyard_8787=")
        assert rest == ["Path=/", "HttpOnly", "SameSite=Strict", f"Max-Age={LIFETIME_SECONDS}"]
        assert KEY not in cookie
        page = await visitor.go("/")
        assert page.status == 200
        assert "workspace <bdi>w1</bdi>" in text(page)
        assert not [value for name, value in page.headers if name == "set-cookie"]

    asyncio.run(go())


def test_over_https_the_cookie_is_secure() -> None:
    async def go() -> None:
        visitor = Visitor(World(settings=WebSettings(public_url="https://batches.example/yard")))

        reply = await visitor.go("/sign-in", host="batches.example")

        assert "; Secure" in str(reply.header("set-cookie"))
        assert 'action="/yard/sign-in"' in text(reply)
        sent = await visitor.send("/sign-in", {"key": KEY}, origin="https://batches.example", host="batches.example")
        assert (sent.status, sent.header("location")) == (303, "/yard/")

    asyncio.run(go())


@pytest.mark.parametrize("key", ["", "wrong", "k" * 5000, "key-one\r\nx: y", "ключ"])
def test_a_wrong_key_is_told_so_and_opens_nothing(key: str) -> None:
    async def go() -> None:
        visitor = Visitor(World())

        reply = await visitor.sign_in(key)

        assert reply.status == 403
        assert "opens nothing" in text(reply)
        assert (await visitor.go("/")).status == 303

    asyncio.run(go())


def test_a_revoked_key_ends_its_session_at_once_and_an_old_session_ends_by_itself(tmp_path: Path) -> None:
    async def go() -> None:
        clock = SetClock()
        with closing(KeyBook(tmp_path / "keys.db", clock)) as book:
            world = World(keys=book, clock=clock)
            (kept, secret), (_, another) = book.create("w1", scopes=ALL), book.create("w1", scopes=ALL)
            visitor, other = Visitor(world), Visitor(world)
            await visitor.sign_in(secret)
            await other.sign_in(another)
            assert (await visitor.go("/")).status == 200

            book.revoke(kept.id)
            clock.seconds += 2
            assert (await visitor.go("/")).status == 303
            part = await visitor.go("/?part=live")
            assert (part.status, part.header("hx-redirect")) == (401, "/sign-in")

            clock.moment += timedelta(seconds=LIFETIME_SECONDS - 5)
            assert (await other.go("/")).status == 200
            clock.moment += timedelta(seconds=10)
            assert (await other.go("/")).status == 303

    asyncio.run(go())


def test_open_until_the_first_key_as_the_api_is(tmp_path: Path) -> None:
    async def go() -> None:
        clock = SetClock()
        with closing(KeyBook(tmp_path / "keys.db", clock)) as book:
            visitor = Visitor(World(keys=OpenUntilFirstKey(book), clock=clock))
            page = await visitor.go("/")
            assert page.status == 200
            assert "open to this machine" in text(page)

            book.create("w1")
            clock.seconds += 2
            assert (await visitor.go("/")).status == 303

    asyncio.run(go())


def test_signing_out_forgets_the_session_and_signing_in_begins_another() -> None:
    async def go() -> None:
        visitor = Visitor(World())
        await visitor.sign_in()
        first, token = dict(visitor.cookies), (await visitor.go("/"), visitor.token)[1]

        reply = await visitor.send("/sign-out")

        assert (reply.status, reply.header("location"), visitor.cookies) == (303, "/sign-in", {})
        assert (await visitor.go("/")).status == 303
        await visitor.sign_in()
        await visitor.go("/")
        assert (visitor.cookies != first, visitor.token != token) == (True, True)

    asyncio.run(go())


@pytest.mark.parametrize("cookie", ["x", "batchyard_8787=x", "batchyard_8787=", "batchyard_8787=" + "A" * 4000, ";=;"])
def test_a_cookie_that_is_not_ours_is_none(cookie: str) -> None:
    async def go() -> None:
        visitor = Visitor(World(), sent={"cookie": cookie})
        assert (await visitor.go("/")).status == 303

    asyncio.run(go())


def test_a_session_sealed_by_another_server_is_none() -> None:
    async def go() -> None:
        world = World()
        visitor = Visitor(world)
        await visitor.sign_in()
        assert (await Visitor(world, dict(visitor.cookies)).go("/")).status == 303

    asyncio.run(go())


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": None},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "https://127.0.0.1:8787"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8787.evil.example"},
        {"content_type": "text/plain"},
        {"content_type": "application/json"},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_form_from_elsewhere_does_nothing(headers: dict[str, str | None], is_open: bool) -> None:
    async def go() -> None:
        world = open_world() if is_open else World()
        visitor = Visitor(world)
        await visitor.sign_in()
        batch = await world.create("a")
        workspace = "default" if is_open else "w1"
        await visitor.go(f"/batches/{batch}")

        for act in ("cancel", "pause", "labels"):
            reply = await visitor.send(f"/batches/{batch}/{act}", {"name": "x"}, **headers)
            assert reply.status in (400, 403)

        held = await world.store.get(workspace, batch)
        assert (held.status, held.paused, held.labels.name) == (Status.IN_PROGRESS, False, "")

    asyncio.run(go())


@pytest.mark.parametrize("token", ["", "0" * 64, "another's", "é"])
def test_a_form_without_its_sessions_token_does_nothing(token: str) -> None:
    async def go() -> None:
        world = open_world()
        visitor, other = Visitor(world), Visitor(world)
        batch = await world.create("a")
        await visitor.go(f"/batches/{batch}")
        await other.go(f"/batches/{batch}")

        reply = await visitor.send(
            f"/batches/{batch}/cancel", {"token": other.token if token == "another's" else token}
        )

        assert reply.status == 403
        assert "not of your session" in text(reply)
        assert (await world.store.get("default", batch)).status is Status.IN_PROGRESS
        assert (await visitor.send(f"/batches/{batch}/cancel")).status == 303

    asyncio.run(go())


@pytest.mark.parametrize(
    ("wanted", "way"),
    [
        ("/usage?days=7", "/usage?days=7"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nset-cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_after_the_sign_in_only_our_own_pages_come(wanted: str, way: str) -> None:
    async def go() -> None:
        visitor = Visitor(World())
        await visitor.go("/sign-in")

        reply = await visitor.send("/sign-in", {"key": KEY, "next": wanted})

        assert (reply.status, reply.header("location")) == (303, way)

    asyncio.run(go())


def test_a_page_that_was_wanted_comes_after_the_sign_in() -> None:
    async def go() -> None:
        visitor = Visitor(World())

        reply = await visitor.go("/usage?days=7&all=1")

        assert reply.header("location") == "/sign-in?next=%2Fusage%3Fdays%3D7%26all%3D1"
        assert 'name="next" value="/usage?days=7&amp;all=1"' in text(await visitor.go(str(reply.header("location"))))

    asyncio.run(go())


def test_who_comes_from_another_site_is_asked_once_more_by_our_own_page() -> None:
    async def go() -> None:
        visitor = Visitor(World())
        again = await visitor.go("/sign-in?next=%2F", sec_fetch_site="cross-site")
        assert '<meta http-equiv="refresh" content="0">' in text(again)
        assert "http-equiv" not in text(await visitor.go("/sign-in", sec_fetch_site="same-origin"))

    asyncio.run(go())


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::2]"])
def test_under_a_foreign_name_nothing_is_shown(host: str) -> None:
    async def go() -> None:
        world = open_world()
        await world.create("secret-id")
        for path in ("/", "/sign-in", "/usage"):
            reply = await Visitor(world).go(path, host=host)
            assert reply.status == 421
            assert b"secret-id" not in reply.body
        reply = await Visitor(World(settings=WebSettings(public_url="https://batches.example"))).go("/", host=host)
        assert reply.status == 421

    asyncio.run(go())


def test_a_key_sees_and_does_what_its_scopes_say_and_nothing_of_another_workspace() -> None:
    async def go() -> None:
        world = World()
        theirs = await world.create("a", headers={"x-api-key": "key-two"})
        mine = await world.create("a")
        reader = Visitor(world)
        await reader.sign_in("key-read")
        assert theirs not in text(await reader.go("/"))
        assert (await reader.go(f"/batches/{theirs}")).status == 404
        assert (await reader.go(f"/batches/{theirs}/request?custom_id=a")).status == 404
        page = text(await reader.go(f"/batches/{mine}"))
        assert 'data-opens="cancel"' not in page
        for act in ("cancel", "pause", "resume", "delete", "rerun", "labels"):
            assert (await reader.send(f"/batches/{mine}/{act}")).status == 403

        canceler = Visitor(world)
        await canceler.sign_in("key-cancel")
        assert (await canceler.go("/")).status == 403
        await canceler.go("/sign-in")
        assert (await canceler.send(f"/batches/{theirs}/cancel")).status in (403, 404)

    asyncio.run(go())


def test_a_form_that_is_too_large_or_has_too_many_fields_is_refused() -> None:
    async def go() -> None:
        visitor = Visitor(World())
        await visitor.go("/sign-in")
        assert (await visitor.send("/sign-in", {"key": "k" * 70_000})).status == 413
        assert (await visitor.send("/sign-in", {f"f{n}": "" for n in range(200)})).status == 400
        assert (await visitor.send("/sign-in", {"key": KEY})).status == 303

    asyncio.run(go())


def test_paths_and_methods_that_are_no_page_are_the_apis() -> None:
    async def go() -> None:
        visitor = Visitor(open_world())
        for method, path in (("POST", "/"), ("DELETE", "/usage"), ("GET", "/batches"), ("GET", "/nothing")):
            reply = await visitor.go(path, method, origin=ORIGIN)
            assert reply.error()[:2] == (404, "not_found_error")

    asyncio.run(go())
