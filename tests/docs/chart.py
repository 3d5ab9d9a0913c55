"""Lints and renders a chart and holds what comes of it against Kubernetes. Run with the Python of ``.venv-charts``.

Reads ``{"chart": folder, "crds": [files], "cases": [values, …]}`` and writes for each case ``{"found": lint's
complaints and what Kubernetes would refuse, "objects": what was rendered}``, or ``{"refused": why}``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import yaml  # type: ignore[import-untyped]

RELEASES = ("1.30", "1.37")
"""Of Kubernetes: an old one and a new one."""
WARNING = 2


def main() -> None:
    asked = json.load(sys.stdin)
    crds = {
        crd["spec"]["names"]["kind"]: crd for crd in (yaml.safe_load(Path(file).read_text()) for file in asked["crds"])
    }
    json.dump([case(asked["chart"], values, crds) for values in asked["cases"]], sys.stdout)


def case(chart: str, values: dict[str, Any], crds: dict[str, Any]) -> dict[str, Any]:
    try:
        with helm_python.Chart.load(chart) as loaded:
            texts = loaded.render(values, name="mine", namespace="here")
    except helm_python.HelmError as refused:
        return {"refused": str(refused)}
    linted = helm_python.lint(chart, values, strict=True)
    found = [f"{one['path']}: {one['error']}" for one in linted["messages"] if one["severity"] >= WARNING]
    objects = [one for name, text in texts.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    for one in objects:
        found += complaints(one, crds)
    return {"found": found, "objects": objects, "notes": next(t for n, t in texts.items() if n.endswith("NOTES.txt"))}


def complaints(one: dict[str, Any], crds: dict[str, Any]) -> list[str]:
    """What Kubernetes, or the operator whose kind this is, would not take."""
    named = f"{one['kind']} {one['metadata']['name']}"
    if one["apiVersion"] == "ray.io/v1":
        told = [complaint for template in templates(one["spec"]) for complaint in complaints(template, crds)]
        if one["kind"] in crds:
            told += [f"{named}: {error.json_path}: {error.message}" for error in against(crds[one["kind"]], one)]
        return told
    told = []
    for release in RELEASES:
        try:
            kubernetes_validate.validate(one, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            told.append(f"{named}: {release}: {'.'.join(map(str, error.path))}: {error.message}")
    return told


def templates(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the templates of a Ray cluster's pods, as objects of Kubernetes' own."""
    return [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "ray"}, "template": group["template"]}
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    ]


def against(crd: dict[str, Any], one: dict[str, Any]) -> list[jsonschema.ValidationError]:
    [version] = [version for version in crd["spec"]["versions"] if version["name"] == "v1"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {}
    return list(jsonschema.Draft202012Validator(schema).iter_errors(one))


def closed(schema: Any) -> Any:
    """Return a schema that takes no field which it does not name: Kubernetes would drop it without a word."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


if __name__ == "__main__":
    main()
