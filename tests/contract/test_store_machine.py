"""Every store of the table lives random lives beside its model: the memory store, or for that one the naive store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from batchyard.ports import Store
from tests.contract.machine import StoreMachine
from tests.contract.naive_carriers import NaiveStoreWithCarriers
from tests.contract.store_table import LEASE_SECONDS, STORES, SURVIVE_CLOSE


async def naive(folder: Path, entropy: Callable[[], int]) -> Store:
    return NaiveStoreWithCarriers(lease_seconds=LEASE_SECONDS, entropy=entropy)


def machine(name: str) -> type[StoreMachine]:
    """Return the machine that holds the store of that name to its model."""

    class Machine(StoreMachine):
        real_factory = staticmethod(STORES[name])
        model_factory = staticmethod(naive if name == "memory" else STORES["memory"])
        survives_close = name in SURVIVE_CLOSE

    return Machine


@pytest.mark.parametrize("name", STORES)
def test_a_store_lives_as_its_model_does(name: str) -> None:
    run_state_machine_as_test(machine(name), settings=settings(max_examples=30, stateful_step_count=40, deadline=None))


@pytest.mark.accept
@pytest.mark.parametrize("name", STORES)
def test_a_store_lives_as_its_model_does_for_200_000_calls(name: str) -> None:
    lives = settings(max_examples=1000, stateful_step_count=40, deadline=None)  # about 200 compared calls each
    run_state_machine_as_test(machine(name), settings=lives)
