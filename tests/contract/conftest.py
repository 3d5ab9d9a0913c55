"""Fixtures: each test of a store runs once for every store of the table, on an empty one."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.contract.store_table import DOUBLES, STORES
from tests.contract.yard import Run, Yard


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(params=STORES | DOUBLES)
def yard(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Yard]:
    falling = count(2**77, -1)  # later ids have the smaller random part: only their time can put them behind
    store = run((STORES | DOUBLES)[request.param](tmp_path, lambda: next(falling)))
    yield Yard(store, run)
    run(store.close())
