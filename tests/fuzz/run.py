"""Fuzz one target with atheris: ``python tests/fuzz/run.py TARGET CORPUS [libFuzzer's options]``."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["batchyard"]):
    from tests.fuzz.targets import LEAST, TARGETS

target = TARGETS[sys.argv[1]]


def one(given: bytes) -> None:
    if len(given) >= LEAST:
        target(given)


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()
