"""Dice of tests on virtual time: a few always, many in the long form."""

from typing import Any

import pytest


def seeds(few: int, many: int) -> list[Any]:
    """Return the numbers below ``many``; those from ``few`` on are for the long form."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.accept) for seed in range(few, many))]
