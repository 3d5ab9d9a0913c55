"""Asks a server for the same small thing again and again, and keeps how long each answer took."""

import statistics
import threading
import time
from types import TracebackType
from typing import Self

from bench.client import Client


class Prober:
    """While the ``with`` block runs, one GET follows another, ``every`` seconds apart."""

    def __init__(self, url: str, path: str, every: float) -> None:
        self.client = Client(url)
        self.path = path
        self.every = every
        self.seconds: list[float] = []
        self.broken: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._probe, name="prober")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.client.close()
        if self.broken and error is None:
            raise self.broken

    def worst(self) -> float:
        return max(self.seconds)

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    def _probe(self) -> None:
        try:
            while not self._over.is_set():
                began = time.perf_counter()
                self.client.get(self.path)
                self.seconds.append(time.perf_counter() - began)
                self._over.wait(self.every)
        except Exception as broken:  # raised again in __exit__: a probe that failed measured nothing
            self.broken = broken
