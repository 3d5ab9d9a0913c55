"""The stored keys of model servers, for the command line."""

from batchyard.declared import secret
from batchyard.domain.errors import DataRefused
from batchyard.settings import Settings
from batchyard.vault import Vault


def store_key(settings: Settings, name: str, key: str) -> tuple[str, bool]:
    """Store the key of an upstream; return the URL that it goes to, and whether the settings use it."""
    table = next((table for table in settings.upstreams if table.name == name), None)
    if table is None or table.url is None:
        raise DataRefused(f"there is no upstream {name!r} with a url in the settings: a key is stored for one URL")
    Vault(settings.data, settings.vault_secret).put(name, table.url, secret(key, "standard input"))
    return table.url, table.key_stored


def forget_key(settings: Settings, name: str) -> None:
    """Remove the stored key of an upstream."""
    if not Vault(settings.data, settings.vault_secret).forget(name):
        raise DataRefused(f"no key is stored for {name!r}")
