"""Bugs in what people see: money, and whose it is."""

from tests.planted.bug import Bug

SEEN = [
    Bug(
        "usage: a stale settlement is counted again",
        "store/sqlite_work.py",
        "    sqlite_views.count(connection, settling)\n",
        "    again = [(-1, one, tallies[one.lease.batch]) for one in stale if one.lease.batch in tallies]\n"
        "    sqlite_views.count(connection, [*settling, *again])\n",
        "tests/contract/test_store_views.py",
    ),
    Bug(
        "usage: a deleted batch takes its usage along",
        "store/sqlite_batches.py",
        "    sqlite_views.forget_batch(connection, stored.num)\n",
        '    connection.execute("delete from usage where batch = ?", (stored.num,))\n',
        "tests/contract/test_store_views.py",
    ),
    Bug(
        "usage: one workspace sees another's",
        "web/usage.py",
        "await self._views.usage(None if everybody else call.workspace, first, last, by_batch=by_batch)",
        "await self._views.usage(None, first, last, by_batch=by_batch)",
        "tests/wire/test_usage.py",
    ),
    Bug(
        "cost: tokens of the hour are paid twice",
        "domain/pricing.py",
        "max(0, usage.cache_write_tokens - usage.cache_write_1h_tokens)",
        "usage.cache_write_tokens",
        "tests/unit/test_pricing.py",
    ),
    Bug(
        "cost: a model without a price counts as free",
        "domain/pricing.py",
        "return Cost(unpriced=requests)",
        "return Cost()",
        "tests/unit/test_pricing.py tests/wire/test_usage.py",
    ),
    Bug(
        "cost: prices are asked for at a length that a higher tier begins at",
        "price_book.py",
        "_PROBE = 1000\n",
        "_PROBE = 1_000_000\n",
        "tests/unit/test_price_book.py",
    ),
    Bug(
        "usage: a spreadsheet runs the name of a model",
        "web/usage.py",
        """return f"'{value}" if""",
        """return f"{value}" if""",
        "tests/wire/test_usage.py",
    ),
    Bug(
        "labels: a search looks into other workspaces",
        "store/sqlite_labels.py",
        """where, bindings = "workspace = ?", list[Any]((workspace,))""",
        """where, bindings = "workspace >= ?", list[Any](("",))""",
        "tests/contract/test_store_labels.py",
    ),
    Bug(
        "labels: a wrong one is kept",
        "domain/labels.py",
        "        edited.check()\n",
        "",
        "tests/contract/test_store_labels.py",
    ),
    Bug(
        "labels: a percent sign finds everything",
        "domain/labels.py",
        "any(lower(self.text) in lower(word) for word in words)",
        'any(lower(self.text).strip("%") in lower(word) for word in words)',
        "tests/contract/test_store_labels.py",
    ),
    Bug(
        "forecast: a small batch waits for the whole of a large one",
        "domain/forecast.py",
        "sum(min(requests, turn) for requests in workspaces.values())",
        "sum(workspaces.values())",
        "tests/unit/test_forecast.py",
    ),
    Bug(
        "forecast: a paused batch gets a time all the same",
        "domain/forecast.py",
        "    if waits or not speed:\n",
        "    if not speed:\n",
        "tests/unit/test_forecast.py tests/wire/test_details.py",
    ),
]
