"""docs/configuration.md names every setting, and only those, as they are declared."""

import base64
from pathlib import Path

import pytest

from batchyard.config import SECRETS, read
from batchyard.declared import Declared
from batchyard.hook_tables import DECLARED_HOOK
from batchyard.price_tables import DECLARED_PRICE
from batchyard.settings import DECLARED
from batchyard.upstream_tables import DECLARED_UPSTREAM
from batchyard.watch_tables import DECLARED_WATCH
from batchyard.workspace_tables import DECLARED_WORKSPACE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "configuration.md").read_text()
WEBHOOKS = (DOCS / "webhooks.md").read_text()
WORDS = " ".join(PAGE.split())


def row(declared: Declared) -> str:
    option = f"`{declared.option}`" if declared.is_option else ""
    return f"| `{declared.name}` | {option} | {declared.default} | {declared.kind.wants} | {declared.sentence} |"


@pytest.mark.parametrize("declared", DECLARED.values(), ids=lambda declared: declared.name)
def test_every_setting_has_its_row(declared: Declared) -> None:
    assert row(declared) in PAGE.splitlines()


TABLES = {
    f"{table}.{name}": row
    for table, keys in (("upstreams", DECLARED_UPSTREAM), ("prices", DECLARED_PRICE), ("watch", DECLARED_WATCH))
    for name, row in keys.items()
}


@pytest.mark.parametrize("declared", TABLES.values(), ids=TABLES)
def test_every_key_of_a_table_has_its_row(declared: Declared) -> None:
    told = f"| `{declared.name}` | {declared.default} | {declared.kind.wants} | {declared.sentence} |"

    assert told in PAGE.splitlines()


@pytest.mark.parametrize("declared", DECLARED_WORKSPACE.values(), ids=lambda declared: declared.name)
def test_every_key_of_a_workspace_has_its_row(declared: Declared) -> None:
    told = f"| `{declared.name}` | {declared.default} | {declared.kind.wants} | {declared.sentence} |"

    assert told in PAGE.splitlines()


@pytest.mark.parametrize("declared", DECLARED_HOOK.values(), ids=lambda declared: declared.name)
def test_every_key_of_a_webhook_has_its_row(declared: Declared) -> None:
    told = f"| `{declared.name}` | {declared.default} | {declared.kind.wants} | {declared.sentence} |"

    assert told in WEBHOOKS.splitlines()


def test_the_example_of_a_webhook_is_one(tmp_path: Path) -> None:
    [example] = WEBHOOKS.split("```toml\n")[1:]
    (tmp_path / "batchyard.toml").write_text(example.partition("```")[0])
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()

    [hook] = read({}, {"OPS_HOOK_SECRET": secret}, tmp_path).webhooks

    assert (hook.name, hook.workspaces) == ("ops", ("research",))


def test_the_example_of_workspaces_is_one(tmp_path: Path) -> None:
    [example] = [block for block in PAGE.split("```toml\n")[1:] if block.startswith("[limits]")]
    (tmp_path / "batchyard.toml").write_text(example.partition("```")[0])

    settings = read({}, {}, tmp_path)

    assert settings.limits.calls_per_minute == settings.workspaces["research"].calls_per_minute == 2000
    assert (settings.limits.queued_requests, settings.workspaces["research"].queued_requests) == (300_000, 1_000_000)
    assert (settings.limits.weight, settings.workspaces["research"].weight) == (1.0, 3.0)


def test_the_example_of_several_servers_is_one(tmp_path: Path) -> None:
    [example] = [block for block in PAGE.split("```toml\n")[1:] if block.startswith("[upstreams.local]")]
    (tmp_path / "batchyard.toml").write_text(example.partition("```")[0])

    settings = read({}, {"HOSTED_KEY": "sk-example"}, tmp_path)

    assert [upstream.name for upstream in settings.upstreams] == ["local", "hosted"]
    assert len(settings.routes) == 2


def test_no_row_is_of_a_setting_that_is_gone() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 6]

    assert rows == [row(declared) for declared in DECLARED.values()]


def test_the_page_tells_of_the_variables_that_are_no_settings_and_of_what_is_not_there_yet() -> None:
    assert all(word in WORDS for word in SECRETS)
