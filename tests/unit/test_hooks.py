"""Webhooks without I/O: who is told what, when a delivery is tried again, and what the settings may say."""

import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchyard.declared import ConfigError
from batchyard.domain import hooks
from batchyard.domain.batch import Batch, Counts, Status
from batchyard.domain.hooks import CHOICES, WAITS, Hook, Kind, Reply, State, verdict, wanted
from batchyard.hook_tables import HookTable, read_hooks
from batchyard.testing.factories import NOW, later
from batchyard.upstream.webhooks import is_public

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
FILE = Path("batchyard.toml")


def test_eight_tries_take_a_little_more_than_a_day() -> None:
    at, tries = NOW, 1
    while (found := verdict(tries, Reply(503), at, 0.0)).again_at is not None:
        at, tries = found.again_at, tries + 1

    assert (found.state, tries) == (State.FAILED, 8)
    assert timedelta(hours=23) < at - NOW < timedelta(hours=25)
    assert list(WAITS) == sorted(WAITS)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert verdict(1, Reply(status), NOW, 0.0).state is State.DELIVERED


@pytest.mark.parametrize("status", [None, 301, 302, 400, 404, 429, 500, 503])
def test_all_else_is_tried_again_a_redirect_too(status: int | None) -> None:
    assert verdict(1, Reply(status), NOW, 0.5) == hooks.Verdict(State.WAITING, NOW + WAITS[0] * 1.1)


def test_a_receiver_that_says_gone_is_not_asked_again() -> None:
    assert verdict(1, Reply(410), NOW, 0.0).state is State.FAILED


def test_a_receivers_own_wait_is_kept_within_a_day_and_never_shortens_ours() -> None:
    asked = [timedelta(seconds=1), timedelta(hours=2), timedelta(days=30)]

    waits = [verdict(1, Reply(429, retry_after=one), NOW, 0.0).again_at for one in asked]

    assert waits == [NOW + WAITS[0], NOW + timedelta(hours=2), NOW + timedelta(hours=24)]


def ended(workspace: str = "w", **changes: Any) -> hooks.Notice:
    batch = Batch(
        id="msgbatch_1", workspace=workspace, status=Status.ENDED, counts=Counts(succeeded=2, errored=1),
        created_at=NOW, expires_at=later(86_400), version="2023-06-01", betas=(), body="b.body", ended_at=later(60),
    )  # fmt: skip
    return hooks.ended(replace(batch, **changes))


def test_each_hook_hears_of_its_workspaces_and_kinds_alone() -> None:
    all_of_it = Hook("all", frozenset(CHOICES), frozenset("*"))
    one = Hook("one", frozenset(CHOICES), frozenset({"w"}))
    lanes = Hook("lanes", frozenset({Kind.HELD}), frozenset("*"))
    notices = [ended("w"), ended("other"), hooks.held("gpu", "no key", 60.0, NOW)]

    told = [(one.hook, one.notice.kind, one.notice.workspace) for one in wanted([all_of_it, one, lanes], notices)]

    assert told == [
        ("all", Kind.ENDED, "w"),
        ("one", Kind.ENDED, "w"),
        ("all", Kind.ENDED, "other"),
        ("all", Kind.HELD, None),
        ("lanes", Kind.HELD, None),
    ]


def test_a_notice_carries_the_counts_and_no_content() -> None:
    notice = ended()
    body = msgspec.json.decode(notice.body)

    assert body["type"] == "batch.ended"
    assert body["timestamp"] == body["data"]["ended_at"]
    assert set(body["data"]) == {
        "id", "workspace", "processing_status", "request_counts", "created_at", "expires_at", "ended_at",
    }  # fmt: skip
    assert notice.id == f"{body['data']['id']}.ended"


def test_a_canceled_batch_is_told_as_that_and_once() -> None:
    canceled = ended(cancel_initiated_at=later(30))

    assert canceled.kind is Kind.CANCELED
    assert canceled.id.endswith(".ended")


def test_a_lane_that_is_held_anew_is_told_once_an_hour() -> None:
    first, again = hooks.held("gpu", "no key", 60.0, NOW), hooks.held("gpu", "no key", 60.0, later(59))
    much_later = hooks.held("gpu", "no key", 60.0, later(3600))

    assert first.id == again.id != much_later.id


def table(**values: object) -> tuple[HookTable, ...]:
    usual = {"url": "https://example.com/hook", "secret_env": "HOOK_SECRET"}
    return read_hooks(FILE, {"ops": {**usual, **values}}, {"HOOK_SECRET": SECRET, "SHORT": "whsec_YWJj", "BAD": "abc"})


def test_a_table_has_what_it_says_and_hides_its_secret() -> None:
    [hook] = table(events=["batch.ended"], workspaces=["research"], allow_private=True)

    assert (hook.name, hook.url, hook.events, hook.workspaces) == (
        "ops", "https://example.com/hook", ("batch.ended",), ("research",),
    )  # fmt: skip
    assert hook.secret == SECRET
    assert SECRET not in repr(hook)


def test_without_more_it_hears_of_everything() -> None:
    [hook] = table()

    assert (set(hook.events), hook.workspaces, hook.allow_private) == ({kind.value for kind in CHOICES}, ("*",), False)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")

    [hook] = read_hooks(FILE, {"ops": {"url": "https://a.example", "secret_file": str(tmp_path / "secret")}}, {})

    assert hook.secret == SECRET


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"url": "ftp://example.com"}, "http"),
        ({"url": "https://user:pw@example.com"}, "url"),
        ({"events": ["batch.endet"]}, "batch.ended"),
        ({"events": []}, "events"),
        ({"secret_env": "MISSING"}, "MISSING"),
        ({"secret_env": "SHORT"}, "whsec_"),
        ({"secret_env": "BAD"}, "whsec_"),
        ({"secret_file": "x"}, "one of them"),
        ({"uri": "x"}, "url"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as told:
        table(**values)

    assert "webhooks.ops" in str(told.value)
    assert words in str(told.value)
    assert "abc" not in str(told.value).replace("batchyard", "")


def test_a_name_and_the_shape_of_the_table_are_checked() -> None:
    with pytest.raises(ConfigError, match="a name is"):
        read_hooks(FILE, {"../x": {"url": "https://a.example"}}, {})
    with pytest.raises(ConfigError, match=r"\[webhooks.NAME\]"):
        read_hooks(FILE, {"url": "https://a.example"}, {})


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_addresses_inside_are_known_in_every_dress(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_let_through(address: str) -> None:
    assert is_public(address)
