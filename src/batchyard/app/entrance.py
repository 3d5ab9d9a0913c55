"""Who may come in, and on which terms: keys, prices and web settings that follow from what the operator set."""

from collections.abc import Callable
from dataclasses import replace

from batchyard.assembly import asked
from batchyard.domain.errors import BatchyardError, DataRefused
from batchyard.domain.pricing import BATCH_SHARE, Price, Rates
from batchyard.domain.quota import Allowance, Allowances, Quota
from batchyard.domain.spending import Caps
from batchyard.ports import Keys
from batchyard.price_book import PriceBook
from batchyard.price_tables import PriceTable
from batchyard.settings import Settings
from batchyard.web.fixtures import FixtureKeys
from batchyard.web.keys import KeyBook, OpenUntilFirstKey
from batchyard.web.settings import WebSettings
from batchyard.workspace_tables import WorkspaceTable


def keys(settings: Settings, book: KeyBook) -> Keys:
    """Open on loopback until a key is made; elsewhere a key is required, and there must be one."""
    if settings.bootstrap_key is not None:
        try:
            book.import_key(settings.bootstrap_key)
        except BatchyardError as wrong:
            raise DataRefused(f"BATCHYARD_BOOTSTRAP_KEY: {wrong.message}") from wrong
    if settings.compat_fixtures:
        return _fixture_keys(settings, book)
    if settings.is_local:
        return OpenUntilFirstKey(book)
    if not book.any_made():
        raise DataRefused(
            f"--host {settings.host} is open to other machines and no key was made: run `batchyard keys create "
            f"--workspace NAME --data {settings.data}`, or set BATCHYARD_BOOTSTRAP_KEY"
        )
    return book


def _fixture_keys(settings: Settings, book: KeyBook) -> Keys:
    """Any key at all will do, so no other machine may reach us."""
    if not settings.is_local:
        raise DataRefused(
            f"--compat-fixtures takes any key, so it is for this machine alone: not --host {settings.host}"
        )
    return FixtureKeys(book)


def prices(settings: Settings) -> PriceBook:
    """Return the price list: what the file says comes before the public prices, of what upstreams are asked for."""
    return PriceBook([(table.models, _price(table)) for table in settings.prices], asked(settings))


def _price(table: PriceTable) -> Price:
    assert table.input is not None, "the settings require it"
    assert table.output is not None, "the settings require it"
    standard = Rates.of(table.input, table.output, table.cache_read, table.cache_write, table.cache_write_1h)
    halved = standard.share(BATCH_SHARE)
    batch = replace(
        halved,
        input=halved.input if table.batch_input is None else table.batch_input,
        output=halved.output if table.batch_output is None else table.batch_output,
    )
    return Price(standard, batch)


def web_settings(settings: Settings) -> WebSettings:
    return WebSettings(
        public_url=settings.public_url,
        allowed_hosts=settings.hosts,
        trusted_proxies=settings.trusted_proxies,
        expires_after=settings.expires_after,
        max_requests=settings.max_requests,
        max_body_bytes=settings.max_body_bytes,
        retry_defence=settings.retry_defence,
        max_calls_per_key=settings.max_calls_per_key,
        allowances=allowances(settings),
        retain_results_for=settings.retain_results_for,
        role=settings.role,
        lead=2 * max(settings.concurrency, *(table.concurrency or 0 for table in settings.upstreams), 1),
    )


def allowances(settings: Settings) -> Allowances:
    """Return what the operator lets each workspace do."""
    named = {name: _allowance(table) for name, table in settings.workspaces.items()}
    return Allowances(_allowance(settings.limits), named)


def weights(settings: Settings) -> Callable[[str], float]:
    """Return how a workspace's weight is looked up; it is asked for each pick."""
    usual, named = settings.limits.weight, {name: table.weight for name, table in settings.workspaces.items()}
    return lambda workspace: named.get(workspace, usual)


def caps(settings: Settings) -> Callable[[str], Caps]:
    """Return how a workspace's caps on spending are looked up; they are asked for each pick."""
    usual, named = _caps(settings.limits), {name: _caps(table) for name, table in settings.workspaces.items()}
    return lambda workspace: named.get(workspace, usual)


def _caps(table: WorkspaceTable) -> Caps:
    return Caps(table.spend_per_day, table.spend_per_month)


def _allowance(table: WorkspaceTable) -> Allowance:
    quota = Quota(table.queued_requests, table.running_batches, table.stored_bytes)
    return Allowance(table.calls_per_minute, quota, table.weight)
