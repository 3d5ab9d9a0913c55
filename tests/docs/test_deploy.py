"""What deploy/ holds fits the program: variables that exist, files that are there, a chart that renders."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from batchyard.config import BOOTSTRAP_KEY, BOOTSTRAP_KEY_FILE
from batchyard.settings import DECLARED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "batchyard"
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
    lock = (ROOT / "requirements" / "server.txt").read_text()
    assert all(f"\n{name}==" in lock for name in ("asyncpg", "obstore", "hatchling"))
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


def helm(*arguments: str) -> str:
    """Run helm; skip where it is not installed."""
    program = shutil.which("helm")
    if program is None:
        pytest.skip("helm is not installed: the chart is not rendered")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


NAMED = ("--set", "database=postgresql://u@h/d", "--set", "objects=s3://b/p")


def test_the_chart_is_well_formed() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *NAMED)


@pytest.mark.parametrize("more", [(), ("--set", "ingress.enabled=true,ingress.host=batches.example")])
def test_the_chart_renders_what_kubernetes_takes(more: tuple[str, ...]) -> None:
    text = helm("template", "mine", str(CHART), *NAMED, *more)
    found = [one for one in yaml.safe_load_all(text) if one]
    kinds = [one["kind"] for one in found]

    assert kinds.count("Deployment") == kinds.count("Service") == kinds.count("PodDisruptionBudget") == 2
    assert kinds.count("Ingress") == (1 if more else 0)
    for deployment in (one for one in found if one["kind"] == "Deployment"):
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        names = [variable["name"] for variable in container["env"]]
        assert len(names) == len(set(names))
        volumes = {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
