"""What a server or a mistake of a moment brings about, told with what to change."""

from pathlib import Path

import pytest

from batchyard.cli import options
from tests.e2e.fake_api import FakeApi, Refuse, running
from tests.e2e.test_cli import Shell, a_batch, write


@pytest.fixture(autouse=True)
def _no_server_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_key_that_is_missing_or_wrong_is_told_with_where_it_goes(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    with running(FakeApi()) as server:
        server.fail("list", Refuse(401))
        server.fail("create", Refuse(401))
        shell = Shell(capsysbinary, server)

        for command in (("list",), ("create", str(write(tmp_path, 1)))):
            assert shell(*command) == 3
            assert "ANTHROPIC_API_KEY, or --api-key, must hold a key of that server" in shell.err


def test_a_server_that_was_not_started_is_told_with_how_to_start_it(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(FakeApi()) as server:
        gone = server.base
    monkeypatch.setattr("batchyard.cli.advice.DEFAULT_URL", gone)
    shell = Shell(capsysbinary, None)

    assert shell("list", "--base-url", gone) == 3
    assert shell.err.splitlines()[0] == f"batchyard: cannot reach {gone}: Connection refused"
    assert "`batchyard serve` starts one" in shell.err
    assert options.DEFAULT_URL == "http://127.0.0.1:8787"


def test_https_where_none_is_spoken_is_called_so(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, None)

        assert shell("list", "--base-url", server.base.replace("http:", "https:")) == 3

    assert "TLS failed (" in shell.err
    assert "does it speak https?" in shell.err
    assert "Operation not permitted" not in shell.err


def test_a_base_url_as_other_libraries_have_it_is_told_apart(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, None)

        assert shell("list", "--base-url", f"{server.base}/v1/") == 3
        assert f"calls go to {server.base}/v1/v1/messages/batches: leave that /v1 out?" in shell.err
        assert shell("list", "--base-url", server.base) == 0
        assert "note" not in shell.err


@pytest.mark.parametrize("command", ["show", "results", "watch", "cancel", "delete", "pause", "label", "retry"])
def test_a_batch_without_a_name_is_asked_of_no_server(capsysbinary: pytest.CaptureFixture[bytes], command: str) -> None:
    with running(FakeApi()) as server:
        shell = Shell(capsysbinary, server)
        known = a_batch(server, "succeeded") if command in ("watch", "cancel", "delete") else None

        assert shell(command, *([known] if known else []), "") == 2

    assert "it is empty: is a variable of your script not set?" in shell.err
    assert (server.calls, shell.out) == ([], b"")
