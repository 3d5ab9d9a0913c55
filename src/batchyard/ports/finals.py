"""Requests of a batch as a store shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchyard.domain.outcome import Trace
from batchyard.domain.request import ParamsAt
from batchyard.domain.result import Result


@dataclass(frozen=True, slots=True)
class Final:
    """A request as its batch is sealed: its result, the place of its result in the order of arrival (0: none came),
    the attempts that were made, and where its params lie."""

    seq: int
    custom_id: str
    result: Result
    arrival: int
    traces: Sequence[Trace]
    attempts: int
    paid: int
    deaths: int
    params: ParamsAt


@dataclass(frozen=True, slots=True)
class Arrived:
    """A result that came while its batch runs."""

    custom_id: str
    result: Result
