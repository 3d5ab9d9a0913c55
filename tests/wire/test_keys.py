"""Keys: made once, kept as hashes, ended at once; and an open door until the first one is made."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from batchyard.domain.access import USUAL, is_well_formed, new_key
from batchyard.domain.errors import DataRefused, InvalidRequest, NotFound, StoreUnavailable
from batchyard.ports import KeyShelf
from batchyard.store.postgres_keys import PostgresKeys
from batchyard.web.key_file import KeyFile
from batchyard.web.keys import KeyBook, OpenUntilFirstKey
from tests.postgres import shared
from tests.wire.world import NOW, SetClock, World


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


Shelf = Callable[[], KeyShelf]


@pytest.fixture(params=["file", "database"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Opens the keys of one place, as each process does for itself."""
    if request.param == "file":
        return lambda: KeyFile(tmp_path / "keys.db")
    url = shared().schema_url()
    return lambda: PostgresKeys(url)


@pytest.fixture
def book(shelf: Shelf, clock: SetClock) -> Iterator[KeyBook]:
    with closing(KeyBook(shelf(), clock)) as opened:
        yield opened


@pytest.fixture
def file_book(tmp_path: Path, clock: SetClock) -> Iterator[KeyBook]:
    with closing(KeyBook(tmp_path / "keys.db", clock)) as opened:
        yield opened


def test_a_key_has_a_prefix_its_bits_and_a_checksum() -> None:
    key = new_key(2**256 - 1)

    assert re.fullmatch(r"byk_[0-9A-Za-z]{49}", key)
    assert is_well_formed(key)
    assert not is_well_formed(key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert not is_well_formed("byk_" + "0" * 50)
    assert new_key(2**255) != new_key(2**255 + 1)


def test_a_key_is_known_from_then_on_and_belongs_to_its_workspace(book: KeyBook) -> None:
    made, secret = book.create("alpha", "laptop")

    principal = asyncio.run(book.principal(secret))

    assert principal is not None
    assert principal.workspace == "alpha"
    assert secret not in principal.caller
    assert (made.label, made.workspace, made.created_at, made.revoked_at) == ("laptop", "alpha", NOW, None)
    assert asyncio.run(book.principal(secret + "x")) is None
    assert asyncio.run(book.principal("")) is None


def test_the_secret_is_nowhere_in_the_files(file_book: KeyBook, tmp_path: Path) -> None:
    _, secret = file_book.create("alpha")

    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert secret.encode() not in content
        assert secret[4:-6].encode() not in content
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0


def test_what_another_process_does_is_seen_a_second_later(book: KeyBook, clock: SetClock, shelf: Shelf) -> None:
    assert asyncio.run(book.principal("anything")) is None
    with closing(KeyBook(shelf(), SetClock())) as command_line:
        made, secret = command_line.create("alpha")
        assert asyncio.run(book.principal(secret)) is None
        clock.seconds += 1
        assert asyncio.run(book.principal(secret)) is not None

        command_line.revoke(made.id)
        clock.seconds += 1
        assert asyncio.run(book.principal(secret)) is None


def test_revoking_twice_changes_nothing_and_an_unknown_id_is_said(book: KeyBook, clock: SetClock) -> None:
    made, _ = book.create("alpha")

    first = book.revoke(made.id)
    clock.moment = NOW.replace(year=2027)

    assert book.revoke(made.id) == first
    assert first.revoked_at == NOW
    assert book.listing() == [first]
    with pytest.raises(NotFound):
        book.revoke("key_none")


def test_a_key_may_do_what_it_was_made_for(book: KeyBook) -> None:
    usual, narrow, whole = (
        book.create("a"),
        book.create("a", scopes=["read", "cancel"]),
        book.create("a", scopes=["all"]),
    )

    assert usual[0].scope_words == ["submit", "read", "cancel", "delete"]
    assert narrow[0].scope_words == ["read", "cancel"]
    assert whole[0].scope_words == ["submit", "read", "cancel", "delete", "admin"]
    for key, secret in (usual, narrow, whole):
        principal = asyncio.run(book.principal(secret))
        assert principal is not None
        assert principal.scopes == key.scopes
    for wrong in (["write"], [""], []):
        with pytest.raises(InvalidRequest):
            book.create("a", scopes=wrong)


def test_a_key_that_expires_opens_nothing_from_then_on(book: KeyBook, clock: SetClock) -> None:
    made, secret = book.create("alpha", lifetime=timedelta(hours=1))
    assert made.expires_at == NOW + timedelta(hours=1)

    clock.moment = NOW + timedelta(minutes=59, seconds=59)
    assert asyncio.run(book.principal(secret)) is not None
    clock.moment = NOW + timedelta(hours=1)
    assert asyncio.run(book.principal(secret)) is None
    assert book.listing() == [made]


def test_a_rotated_key_has_a_successor_and_a_day_left(book: KeyBook, clock: SetClock) -> None:
    old, old_secret = book.create("alpha", "laptop", ["read"])
    made, secret = book.rotate(old.id, timedelta(hours=24))

    assert (made.workspace, made.label, made.scopes, made.expires_at) == ("alpha", "laptop", old.scopes, None)
    assert asyncio.run(book.principal(old_secret)) is not None
    assert asyncio.run(book.principal(secret)) is not None
    clock.moment, clock.seconds = NOW + timedelta(hours=24), clock.seconds + 1
    assert asyncio.run(book.principal(old_secret)) is None
    assert asyncio.run(book.principal(secret)) is not None


def test_a_rotation_lengthens_no_life_and_revives_no_key(book: KeyBook, clock: SetClock) -> None:
    old, _ = book.create("alpha", lifetime=timedelta(hours=1))
    made, _ = book.rotate(old.id, timedelta(hours=24))

    assert made.expires_at == old.expires_at
    assert [key.expires_at for key in book.listing()] == [old.expires_at] * 2
    book.revoke(made.id)
    with pytest.raises(InvalidRequest, match="revoked"):
        book.rotate(made.id, timedelta(0))
    clock.moment += timedelta(hours=2)
    with pytest.raises(InvalidRequest, match="expired"):
        book.rotate(old.id, timedelta(0))
    with pytest.raises(NotFound):
        book.rotate("key_none", timedelta(0))


def test_keys_of_a_version_without_scopes_and_expiry_still_open_all_that_they_did(
    tmp_path: Path, clock: SetClock
) -> None:
    secret = new_key(7)
    with closing(apsw.Connection(str(tmp_path / "keys.db"))) as old:
        old.execute(
            "create table keys (id text primary key, sha256 blob not null unique check (length(sha256) = 32),"
            " label text not null, workspace text not null, scopes text not null default '',"
            " created_at text not null, revoked_at text) strict"
        )
        values = ("key_1", sha256(secret.encode()).digest(), "laptop", "alpha", NOW.isoformat())
        old.execute("insert into keys (id, sha256, label, workspace, created_at) values (?, ?, ?, ?, ?)", values)
        old.pragma("user_version", 1)

    for _ in range(2):
        with closing(KeyBook(tmp_path / "keys.db", clock)) as book:
            principal = asyncio.run(book.principal(secret))
            assert principal is not None
            assert (principal.workspace, principal.scopes) == ("alpha", USUAL)
            assert book.listing()[0].label == "laptop"


def test_keys_are_listed_oldest_first(book: KeyBook, clock: SetClock) -> None:
    ids = []
    for hour in (9, 10, 11):
        clock.moment = NOW.replace(hour=hour)
        ids.append(book.create("alpha")[0].id)

    assert [key.id for key in book.listing()] == ids
    assert all(re.fullmatch(r"key_[0-9A-Za-z]{24}", key_id) for key_id in ids)


def test_a_key_of_the_operators_own_is_imported_once_and_never_revived(book: KeyBook) -> None:
    imported = book.import_key("my-own-key")

    assert imported is not None
    assert imported.workspace == "default"
    assert book.import_key("my-own-key") is None
    book.revoke(imported.id)
    assert book.import_key("my-own-key") is None
    assert asyncio.run(book.principal("my-own-key")) is None


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_not_imported(book: KeyBook, key: str) -> None:
    with pytest.raises(InvalidRequest):
        book.import_key(key)


@pytest.mark.parametrize("workspace", ["", "a\nb", "x" * 101])
def test_a_bad_workspace_is_refused(book: KeyBook, workspace: str) -> None:
    with pytest.raises(InvalidRequest):
        book.create(workspace)


def test_any_key_is_good_until_the_first_is_made_and_never_again(book: KeyBook, clock: SetClock) -> None:
    keys = OpenUntilFirstKey(book)
    before = asyncio.run(keys.principal("whatever"))
    assert before is not None
    assert before.workspace == "default"
    assert asyncio.run(keys.principal("")) is None

    made, secret = book.create("alpha")
    clock.seconds += 1
    assert asyncio.run(keys.principal("whatever")) is None
    assert asyncio.run(keys.principal(secret)) is not None

    book.revoke(made.id)
    clock.seconds += 1
    assert asyncio.run(keys.principal("whatever")) is None
    assert book.any_made()


def test_a_revoked_key_opens_nothing_of_the_api(book: KeyBook, clock: SetClock) -> None:
    async def scenario() -> None:
        world = World(keys=OpenUntilFirstKey(book))
        made, secret = book.create("alpha")
        assert (await world.call("GET", "/v1/messages/batches", headers={"x-api-key": secret})).status == 200

        book.revoke(made.id)
        clock.seconds += 1
        assert (await world.call("GET", "/v1/messages/batches", headers={"x-api-key": secret})).status == 401

    asyncio.run(scenario())


def test_keys_that_cannot_be_read_are_no_reason_to_let_anybody_in(clock: SetClock, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.db")
    world = World(keys=OpenUntilFirstKey(KeyBook(file, clock)))
    file.close()

    reply = asyncio.run(world.call("GET", "/v1/messages/batches"))

    assert reply.error()[:2] == (529, "overloaded_error")


def test_a_file_that_is_no_key_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"hello, I am no database" * 100)

    with pytest.raises(DataRefused, match=r"keys\.db"):
        KeyBook(tmp_path / "keys.db", SetClock())


def test_a_newer_key_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with closing(apsw.Connection(str(path))) as newer:
        newer.pragma("user_version", 99)
    before = path.read_bytes()

    with pytest.raises(DataRefused, match="newer"):
        KeyBook(path, SetClock())
    assert path.read_bytes() == before


def test_a_key_database_that_cannot_be_written_says_so(clock: SetClock, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.db")
    with closing(apsw.Connection(str(tmp_path / "keys.db"))) as other:
        other.execute("begin immediate")
        file._db.set_busy_timeout(0)

        with pytest.raises(StoreUnavailable):
            KeyBook(file, clock).create("alpha")


def test_everybody_who_shares_the_keys_shares_one_secret(shelf: Shelf) -> None:
    with closing(shelf()) as one, closing(shelf()) as other:
        secret = one.secret()
        assert (len(secret), other.secret(), one.secret()) == (32, secret, secret)
    with closing(shelf()) as later:
        assert later.secret() == secret
