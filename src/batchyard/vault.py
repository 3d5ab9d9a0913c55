"""Keys of model servers in the data folder, encrypted under a secret that is kept outside of it.

AES-256-GCM, under a key that scrypt makes of the secret and a salt. The upstream's name and URL are authenticated with
each: a key that was stored for one URL opens for no other, whatever the settings say later. Who has the folder alone,
or a copy of it, learns which upstreams have keys, and for which URLs.
"""

import json
import os
import secrets
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import scrypt
from pathlib import Path
from typing import Any

from batchyard.domain.errors import DataRefused

FILE_NAME = "upstream-keys.json"
SHORTEST_SECRET = 20
_VERSION = 1
_SALT_BYTES = _NONCE_BYTES = 12
_N, _R, _P = 2**14, 8, 5
"""16 MB and some 0.2 s for each guess (OWASP, Password Storage Cheat Sheet, 2024); a good secret needs none of it."""


class Vault:
    """The stored keys of one data folder. Every verb raises ``DataRefused`` with words for the operator."""

    def __init__(self, folder: Path, secret: str | None) -> None:
        self._path = folder / FILE_NAME
        if secret is None:
            raise DataRefused("stored upstream keys need their secret: set BATCHYARD_VAULT_SECRET_FILE")
        if len(secret) < SHORTEST_SECRET:
            raise DataRefused(
                f"the vault's secret needs {SHORTEST_SECRET} characters: `openssl rand -base64 32` makes one"
            )
        self._secret = secret

    def put(self, name: str, url: str, key: str) -> None:
        """Store the key of an upstream, in the place of one that is there."""
        kept = self._read()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = self._cipher(kept).encrypt(nonce, key.encode(), _bound(name, url))
        kept["keys"][name] = {"url": url, "nonce": _text(nonce), "box": _text(box)}
        self._write(kept)

    def forget(self, name: str) -> bool:
        """Remove a key; whether there was one."""
        kept = self._read()
        was_there = kept["keys"].pop(name, None) is not None
        if was_there:
            self._write(kept)
        return was_there

    def key(self, name: str, url: str) -> str:
        """Return the key of an upstream at this URL."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 a tenth of a second, for those who need it

        kept = self._read()
        entry = kept["keys"].get(name)
        if entry is None:
            raise DataRefused(f"no key is stored for upstream {name}: run `batchyard upstreams set-key {name}`")
        if entry.get("url") != url:
            raise DataRefused(
                f"the stored key of upstream {name} is for {entry.get('url')} and goes to no other URL: "
                f"run `batchyard upstreams set-key {name}` for {url}"
            )
        try:
            opened = self._cipher(kept).decrypt(_bytes(entry["nonce"]), _bytes(entry["box"]), _bound(name, url))
            return str(opened, "utf-8")
        except (InvalidTag, KeyError, ValueError) as wrong:
            why = f"the vault's secret is another, or {self._path} was changed"
            raise DataRefused(f"the stored key of upstream {name} cannot be opened: {why}") from wrong

    def _cipher(self, kept: dict[str, Any]) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 as above

        return AESGCM(_derived(self._secret, _bytes(kept["salt"])))

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {"version": _VERSION, "salt": _text(secrets.token_bytes(_SALT_BYTES)), "keys": {}}
        except (OSError, ValueError) as problem:
            raise DataRefused(
                f"{self._path} cannot be read: {getattr(problem, 'strerror', None) or 'damaged'}"
            ) from problem
        if kept.get("version") != _VERSION:
            raise DataRefused(f"{self._path} was written by another version of Batchyard")
        return dict(kept)

    def _write(self, kept: dict[str, Any]) -> None:
        new = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(kept, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as problem:
            raise DataRefused(f"{self._path} cannot be written: {problem.strerror}") from problem


@lru_cache(maxsize=4)
def _derived(secret: str, salt: bytes) -> bytes:
    return scrypt(secret.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)


def _bound(name: str, url: str) -> bytes:
    return f"batchyard upstream key\0{name}\0{url}".encode()


def _text(content: bytes) -> str:
    return b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)
