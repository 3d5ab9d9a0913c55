"""Stored keys of model servers: nothing readable in the folder, bound to one upstream and one URL."""

import json
import stat
from pathlib import Path

import pytest

from batchyard.domain.errors import DataRefused
from batchyard.vault import FILE_NAME, Vault

SECRET = "correct horse battery staple".replace(" ", "-")
URL = "https://models.example/api"
KEY = "sk-very-secret-0123456789"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "data", SECRET)
    vault.put("hosted", URL, KEY)
    return vault


def test_a_key_comes_back_and_lies_nowhere_as_it_is(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "data" / FILE_NAME

    assert vault.key("hosted", URL) == KEY
    assert Vault(tmp_path / "data", SECRET).key("hosted", URL) == KEY
    assert KEY not in file.read_text()
    assert SECRET not in file.read_text()
    assert KEY.encode().hex() not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list((tmp_path / "data").iterdir()) == [file]


def test_a_key_goes_to_the_url_that_it_was_stored_for_alone(vault: Vault) -> None:
    for url in ("https://evil.example/api", URL + "/", URL.replace("https", "http"), ""):
        with pytest.raises(DataRefused, match="goes to no other URL"):
            vault.key("hosted", url)


@pytest.mark.parametrize("change", [{"url": "https://evil.example"}, {"name": "other"}])
def test_whoever_may_write_the_file_cannot_send_a_key_elsewhere(
    vault: Vault, tmp_path: Path, change: dict[str, str]
) -> None:
    file = tmp_path / "data" / FILE_NAME
    kept = json.loads(file.read_text())
    entry = kept["keys"].pop("hosted")
    name, url = change.get("name", "hosted"), change.get("url", URL)
    kept["keys"][name] = {**entry, "url": url}
    file.write_text(json.dumps(kept))

    with pytest.raises(DataRefused, match="cannot be opened"):
        vault.key(name, url)


def test_another_secret_opens_nothing_and_a_short_one_is_refused(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="cannot be opened"):
        Vault(tmp_path / "data", SECRET + "x").key("hosted", URL)
    with pytest.raises(DataRefused, match="openssl rand"):
        Vault(tmp_path / "data", "short")
    with pytest.raises(DataRefused, match="BATCHYARD_VAULT_SECRET_FILE"):
        Vault(tmp_path / "data", None)


def test_a_key_can_be_replaced_and_forgotten(vault: Vault, tmp_path: Path) -> None:
    vault.put("hosted", "https://new.example", "sk-new")
    assert vault.key("hosted", "https://new.example") == "sk-new"

    assert vault.forget("hosted")
    assert not vault.forget("hosted")
    with pytest.raises(DataRefused, match="set-key hosted"):
        vault.key("hosted", URL)
    assert "sk-new" not in (tmp_path / "data" / FILE_NAME).read_text()


def test_the_same_key_is_never_the_same_bytes(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "data" / FILE_NAME
    before = json.loads(file.read_text())["keys"]["hosted"]
    vault.put("hosted", URL, KEY)
    after = json.loads(file.read_text())["keys"]["hosted"]

    assert before["nonce"] != after["nonce"]
    assert before["box"] != after["box"]


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"version":1,"salt":"AAAA","keys":{"hosted":{}}}'])
def test_a_damaged_file_is_refused_in_words(vault: Vault, tmp_path: Path, text: str) -> None:
    (tmp_path / "data" / FILE_NAME).write_text(text)

    with pytest.raises(DataRefused):
        vault.key("hosted", URL)
