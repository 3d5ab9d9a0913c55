"""What deploy/ holds fits the program: variables that exist, files that are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from batchyard.config import BOOTSTRAP_KEY, BOOTSTRAP_KEY_FILE
from batchyard.settings import DECLARED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {declared.variable for declared in DECLARED.values()} | {BOOTSTRAP_KEY, BOOTSTRAP_KEY_FILE}
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_variable_that_is_set_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bBATCHYARD_[A-Z_]+\b", path.read_text()))

    # What the comment in the chart warns of is none.
    assert named - KNOWN - {"BATCHYARD_API_PORT"} == set()


def test_the_container_file_copies_what_is_there() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()

    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    for name, more in (("server", ()), ("ray", ("ray",))):
        lock = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert all(f"\n{held}==" in lock for held in ("asyncpg", "obstore", "hatchling", *more))
    assert re.search(r"^USER \d+$", text, re.MULTILINE)


def test_the_compose_file_is_whole() -> None:
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]

    assert {services[name]["environment"]["BATCHYARD_ROLE"] for name in ("api", "dispatch")} == {"api", "dispatch"}
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(compose["volumes"])
    given = {line.partition("=")[0] for line in (DEPLOY / "example.env").read_text().splitlines() if "=" in line}
    assert set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text())) == given
