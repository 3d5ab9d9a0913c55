"""The Helm chart: each of its shapes is linted by Helm's own code, rendered, and taken by Kubernetes' schemas."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.tools import ROOT, clean_environ, python_with, unavailable

CHART = ROOT / "deploy" / "helm" / "batchyard"
TOOL = Path(__file__).with_name("chart.py")
KUBERAY = "github.com/ray-project/kuberay/ray-operator@v1.5.1"
KUBERAY_SUM = "h1:7FJYmB8oM+cnjv1VYCj/TfzRZG4XHvvt5Ayn5pZ5A1c="
Object = dict[str, Any]

NAMED: Object = {"database": "postgresql://u@h/d", "objects": "s3://b/p"}
ENGINE = "vllm serve Qwen/Qwen3-8B --port {port} --served-model-name 'a \"b\"'"
RAY: Object = {"enabled": True, "dispatchers": "1..8", "requestsEach": 1_000_000, "engine": ENGINE}
SHAPES: dict[str, Object] = {
    "plain": NAMED,
    "with an ingress": {**NAMED, "ingress": {"enabled": True, "host": "batches.example", "className": "nginx"}},
    "one of each": {**NAMED, "api": {"replicas": 1}, "dispatch": {"replicas": 1}, "env": {"AWS_REGION": "x"}},
    "on Ray": {**NAMED, "dispatch": {"replicas": 0}, "ray": RAY, "ingress": {"enabled": True, "host": "a.b"}},
    "on Ray that grows": {
        **NAMED,
        "ray": {
            "enabled": True,
            "autoscaling": True,
            "workers": {
                "nodeSelector": {"gpu": "a100"},
                "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
                "volumeMounts": [{"name": "models", "mountPath": "/models"}],
            },
        },
    },
    "without a database": {"objects": "s3://b/p"},
    "an ingress without a host": {**NAMED, "ingress": {"enabled": True}},
}


def asked(crds: tuple[str, ...], cases: list[Object]) -> list[Object]:
    """Return what the tool says to each case."""
    done = subprocess.run(
        [python_with("charts"), TOOL],
        input=json.dumps({"chart": str(CHART), "crds": crds, "cases": cases}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=clean_environ(),
    )
    assert done.returncode == 0, done.stderr
    answers: list[Object] = json.loads(done.stdout)
    return answers


@cache
def rendered() -> dict[str, Object]:
    return dict(zip(SHAPES, asked((), list(SHAPES.values())), strict=True))


def of_kind(shape: str, kind: str) -> list[Object]:
    return [one for one in rendered()[shape]["objects"] if one["kind"] == kind]


def pods(shape: str) -> list[Object]:
    """The specifications of all pods that come of a shape."""
    groups = [(ray["spec"]["headGroupSpec"], *ray["spec"]["workerGroupSpecs"]) for ray in of_kind(shape, "RayCluster")]
    owners = [*(one["spec"] for one in of_kind(shape, "Deployment")), *(group for each in groups for group in each)]
    return [owner["template"]["spec"] for owner in owners]


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "without" not in shape])
def test_lint_finds_nothing_and_kubernetes_takes_each_shape(shape: str) -> None:
    assert rendered()[shape]["found"] == []


def test_what_kubernetes_would_not_take_is_found() -> None:
    [wrong] = asked((), [{**NAMED, "api": {"resources": {"limit": {"memory": "1Gi"}}}}])

    assert any("limit" in one for one in wrong["found"])


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ("without a database", "database: name a PostgreSQL"),
        ("an ingress without a host", "ingress.host: name the host"),
    ],
)
def test_what_is_missing_is_asked_for(shape: str, told: str) -> None:
    assert told in rendered()[shape]["refused"]


def test_two_deployments_with_a_service_and_a_budget_each() -> None:
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert [one["metadata"]["name"] for one in of_kind("plain", kind)] == ["mine-api", "mine-dispatch"]
    assert (
        of_kind("plain", "Ingress")
        == of_kind("plain", "RayCluster")
        == of_kind("one of each", "PodDisruptionBudget")
        == []
    )


@pytest.mark.parametrize("shape", ["plain", "one of each", "on Ray", "on Ray that grows"])
def test_what_a_pod_names_is_there(shape: str) -> None:
    for pod in pods(shape):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names))
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["securityContext"]["runAsNonRoot"] is True
    for deployment in of_kind(shape, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    accounts = {one["metadata"]["name"] for one in of_kind(shape, "ServiceAccount")}
    assert {pod["serviceAccountName"] for pod in pods(shape)} == accounts


def test_a_message_that_somebody_waits_for_leads_to_a_dispatcher_if_there_is_one() -> None:
    def paths(shape: str) -> list[str]:
        [ingress] = of_kind(shape, "Ingress")
        return [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]]

    assert paths("with an ingress") == ["/v1/messages", "/"]
    assert paths("on Ray") == ["/"]
    assert "Nobody takes messages that somebody waits for" in rendered()["on Ray"]["notes"]


def test_ray_up_is_told_what_the_values_say_and_finds_the_head() -> None:
    [cluster] = of_kind("on Ray", "RayCluster")
    [up] = [one for one in of_kind("on Ray", "Deployment") if one["metadata"]["name"] == "mine-ray"]
    [container] = up["spec"]["template"]["spec"]["containers"]
    head, *options = container["args"]

    assert head == f"{cluster['metadata']['name']}-head-svc.here:6379"
    said = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert said["dispatchers"] == "1..8"
    assert said["requests-each"] == "1000000"
    assert said["engine"] == ENGINE
    assert (said["cpus"], said["gpus"]) == ("1", "1")
    [workers] = cluster["spec"]["workerGroupSpecs"]
    assert json.loads(json.loads(workers["rayStartParams"]["resources"])) == {said["resource"]: 1000}
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert (workers["minReplicas"], workers["replicas"], workers["maxReplicas"]) == (2, 2, 2)


def test_nobody_uses_the_ray_cluster_without_its_token() -> None:
    [cluster] = of_kind("on Ray", "RayCluster")
    [up] = [one for one in of_kind("on Ray", "Deployment") if one["metadata"]["name"] == "mine-ray"]
    pod = up["spec"]["template"]["spec"]

    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    # KubeRay's names, but never that of the secret which the operator of Batchyard made.
    asked_for = {"secretKeyRef": {"name": cluster["metadata"]["name"], "key": "auth_token"}}
    for container in (*pod["initContainers"], *pod["containers"]):
        variables = {one["name"]: one for one in container["env"]}
        assert variables["RAY_AUTH_MODE"]["value"] == "token"
        assert variables["RAY_AUTH_TOKEN"]["valueFrom"] == asked_for
    assert cluster["metadata"]["name"] != "mine"


def test_only_a_cluster_that_grows_speaks_to_kubernetes() -> None:
    [fixed], [growing] = of_kind("on Ray", "RayCluster"), of_kind("on Ray that grows", "RayCluster")

    def heads_token(cluster: Object) -> bool:
        return bool(cluster["spec"]["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"])

    assert (heads_token(fixed), heads_token(growing)) == (False, True)
    [workers] = growing["spec"]["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (1, 4)


@pytest.mark.accept
def test_kuberay_takes_the_ray_cluster() -> None:
    """Its own definition of the kind, from the module that its operator is built from."""
    shapes = [NAMED | SHAPES[shape] for shape in ("on Ray", "on Ray that grows")]
    for answer in asked((str(definition()),), shapes):
        assert answer["found"] == []


def definition() -> Path:
    """Fetch it."""
    go = shutil.which("go")
    if go is None:
        unavailable("go is not installed: KubeRay's definition of a RayCluster is not to be had")
    command = [go, "mod", "download", "-json", KUBERAY]
    fetched = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=300, check=False)
    if fetched.returncode:
        unavailable(f"KubeRay's definition of a RayCluster could not be fetched: {fetched.stdout.strip()[-500:]}")
    told = json.loads(fetched.stdout)
    assert told["Sum"] == KUBERAY_SUM
    return Path(told["Dir"]) / "config" / "crd" / "bases" / "ray.io_rayclusters.yaml"
