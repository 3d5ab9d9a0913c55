"""The tables of the file that set prices: ``[prices."PATTERN"]``, in US dollars per million tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from batchyard.declared import ConfigError, Declared, absent, did_you_mean, parse, toml_text
from batchyard.kinds import RATE


@dataclass(frozen=True, slots=True)
class PriceTable:
    """What the models whose names fit a pattern cost. Without batch prices, half of these."""

    models: str
    input: float | None = absent(RATE, "must be set", "Input tokens.")
    output: float | None = absent(RATE, "must be set", "Output tokens.")
    cache_read: float | None = absent(RATE, "a tenth of input", "Input tokens read from a prompt cache.")
    cache_write: float | None = absent(RATE, "1.25 times input", "Input tokens written to it for five minutes.")
    cache_write_1h: float | None = absent(RATE, "twice input", "Input tokens written to it for an hour.")
    batch_input: float | None = absent(RATE, "half of input", "Input tokens of a batch.")
    batch_output: float | None = absent(RATE, "half of output", "Output tokens of a batch.")


DECLARED_PRICE = {f.name: Declared(f.name, *f.metadata["declared"]) for f in fields(PriceTable) if f.metadata}
"""Every key of a price's table by name, in the order of the docs."""


def read_prices(file: Path, tables: object) -> tuple[PriceTable, ...]:
    """Return what ``[prices."PATTERN"]`` say."""
    if tables is None:
        return ()
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        raise ConfigError(f'{file}: prices must be tables: [prices."MODEL"]')
    return tuple(_price(f"{file}: prices.{models}", models, table) for models, table in tables.items())


def _price(where: str, models: str, table: Mapping[str, object]) -> PriceTable:
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in DECLARED_PRICE:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, DECLARED_PRICE)}")
        label = f"{where}: {key} = "
        values[key] = parse(RATE, label, toml_text(RATE, label, value))
    for key in ("input", "output"):
        if key not in values:
            raise ConfigError(f"{where} needs {key}: US dollars per million tokens, 0 for none")
    return PriceTable(models, **values)
