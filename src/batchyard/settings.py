"""Every setting, declared once: what it is called, how it is written, its default, and one sentence.

Options, environment variables, keys of the file, the table in the docs and the checks all follow from ``Settings``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchyard.declared import Declared, absent, setting
from batchyard.hook_tables import HookTable
from batchyard.kinds import (
    DATABASE,
    FILE,
    FOLDER,
    HOST,
    HOSTS,
    HTTP_URL,
    NETWORKS,
    OBJECTS,
    RATE,
    SHARE,
    SWITCH,
    TEXT,
    UPSTREAM_URL,
    VARIABLE,
    Kind,
    duration,
    is_loopback,
    one_of,
    whole,
)
from batchyard.price_tables import PriceTable
from batchyard.upstream_tables import RouteTable, UpstreamTable
from batchyard.watch_tables import WatchTable
from batchyard.workspace_tables import WorkspaceTable

FILE_NAME = "batchyard.toml"


def _option(kind: Kind, default: str, sentence: str) -> Any:
    return setting(kind, default, sentence, is_option=True)


def _absent(kind: Kind, without: str, sentence: str) -> Any:
    return absent(kind, without, sentence, is_option=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is told. The defaults are safe on a laptop; what is secret has no option and no repr."""

    host: str = _option(HOST, "127.0.0.1", "Address to listen on.")
    port: int = _option(whole(0, 65535), "8787", "Port to listen on; 0 takes a free one.")
    data: Path = _option(FOLDER, "./batchyard-data", "Folder of the embedded store: database, bodies, results.")
    database: str | None = _absent(DATABASE, "SQLite in the data folder", "Database of batches and keys.")
    objects: str | None = _absent(OBJECTS, "files in the data folder", "Object store of bodies and results.")
    upstream: str | None = _absent(UPSTREAM_URL, "the built-in simulator", "Model server that requests are sent to.")
    upstream_api: str = _option(
        one_of("messages", "chat-completions", "batches"), "messages", "Dialect of the model server."
    )
    upstream_key_env: str | None = _absent(VARIABLE, "no key", "Environment variable with the model server's key.")
    model: str | None = _absent(TEXT, "as the client says", "Ask model servers for this model, whatever clients say.")
    role: str = _option(one_of("all", "api", "dispatch"), "all", "What this process does, of several on one database.")
    concurrency: int = _option(whole(1, 100_000), "64", "Most requests in flight there, over all our processes.")
    public_url: str | None = _absent(HTTP_URL, "from address and Host", "What results_url begins with.")
    config: Path | None = _absent(FILE, f"{FILE_NAME} if there", "File of settings.")
    compat_fixtures: bool = _option(SWITCH, "false", "Serve the fixtures that the official SDKs' own tests need.")
    expires_after: timedelta = setting(duration("1s", "29d"), "24h", "Time from a batch's creation to its expiry.")
    retain_results_for: timedelta = setting(duration("1s", "3650d"), "29d", "Time from creation that results stay.")
    max_requests: int = setting(whole(1, 1_000_000), "100000", "Most requests in a batch.")
    max_body_bytes: int = setting(whole(1024, 2**34), "268435456", "Most bytes in the body of a create.")
    disk_reserve_bytes: int = setting(
        whole(0, 2**49), "134217728", "Free disk, at most a tenth, below which nothing is taken or sent."
    )
    drain_timeout: timedelta = setting(duration("0s", "1d"), "600s", "Time that calls in flight get at a stop.")
    lease: timedelta = setting(duration("500ms", "1h"), "30s", "Silence after which a dispatcher counts as dead.")
    retry_defence: bool = setting(SWITCH, "true", "Answer a repeated create with the batch it made at first.")
    trusted_proxies: tuple[str, ...] = setting(NETWORKS, "127.0.0.1,::1", "Whose X-Forwarded headers are believed.")
    allowed_hosts: tuple[str, ...] = setting(HOSTS, "", "Host names to answer to, besides those known anyway.")
    max_connections_per_address: int = setting(
        whole(1, 1_000_000), "1000", "Most connections from one address; this machine and trusted proxies: any."
    )
    max_calls_per_key: int = setting(whole(1, 1_000_000), "1000", "Most calls of one key at a time.")
    simulator_latency: timedelta = setting(duration("0s", "1h"), "50ms", "Time the simulator takes for an answer.")
    simulator_jitter: float = setting(SHARE, "0", "Share of it by which it varies, request by request.")
    simulator_tokens_per_second: float = setting(RATE, "0", "Tokens a second the simulator writes; 0: all at once.")
    simulator_capacity: int = setting(whole(0, 1_000_000), "0", "Calls it takes at a time, 429 beyond; 0: any.")
    upstream_key: str | None = field(default=None, repr=False)
    bootstrap_key: str | None = field(default=None, repr=False)
    vault_secret: str | None = field(default=None, repr=False)
    upstreams: tuple[UpstreamTable, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    webhooks: tuple[HookTable, ...] = ()
    limits: WorkspaceTable = WorkspaceTable()
    workspaces: Mapping[str, WorkspaceTable] = field(default_factory=dict)
    prices: tuple[PriceTable, ...] = ()
    watch: WatchTable = WatchTable()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def hosts(self) -> frozenset[str]:
        """Every name that may stand in Host, in lower case, without port; ``*`` among them allows any."""
        public = urlsplit(self.public_url or "").hostname or "localhost"
        return frozenset(
            name.lower() for name in ("localhost", "127.0.0.1", "::1", self.host, public, *self.allowed_hosts)
        )


DECLARED = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(Settings) if f.metadata}
"""Every setting by name, in the order of the docs."""
