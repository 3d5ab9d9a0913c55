"""What a server serves to Prometheus is what the docs list, and what the dashboard and the alerts ask for."""

import base64
import json
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from batchyard.metrics import TROUBLE, name_of
from tests.e2e.processes import ServerProcess

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "batchyard.json"
RULES = ROOT / "deploy" / "prometheus" / "batchyard.rules.yml"
DOCS = ROOT / "docs" / "observing.md"
METRIC = re.compile(r"\b(?:batchyard|process)_\w+")
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus itself adds, or that buckets have."""

Served = dict[str, set[str]]
"""Sample -> its labels."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """What a server serves that has done some of everything."""
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "batchyard.toml").write_text('[webhooks.ops]\nurl = "http://127.0.0.1:9"\nsecret_env = "HOOK_SECRET"\n')
    secret = {"HOOK_SECRET": "whsec_" + base64.b64encode(b"e" * 32).decode()}
    options = ("--concurrency", "1", "--config", str(folder / "batchyard.toml"))
    with ServerProcess(folder / "data", *options, environ=secret) as server:
        ended = server.create(5)["id"]
        params = {"model": "simulator", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        server.call("POST", "/v1/messages", json.dumps(params).encode())
        until = time.monotonic() + 60
        while server.call("GET", f"/v1/messages/batches/{ended}")["processing_status"] != "ended":
            assert time.monotonic() < until
            time.sleep(0.05)
        server.call("POST", f"/batchyard/v1/batches/{server.create(500)['id']}/pause")
        text = server.raw("GET", "/metrics")[1].decode()
    samples: Served = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return samples


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard and of the rules, with its name."""
    board = json.loads(DASHBOARD.read_text())
    found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        found += [(rule["alert"], rule["expr"]) for rule in group["rules"]]
    return found


@pytest.mark.parametrize(("name", "query"), queries())
def test_a_query_asks_for_what_is_served(served: Served, name: str, query: str) -> None:
    metrics = METRIC.findall(query)
    groups = [(one[1], METRIC.search(query, one.end())) for one in re.finditer(r"\bby \(([^)]*)\)", query)]
    matched = [(one[0], label) for one in re.findall(r"(\w+)\{([^}]*)\}", query) for label in _labels(one[1])]

    assert metrics
    assert query.count("(") == query.count(")")
    for metric in metrics:
        assert metric in served, f"{name}: no {metric} is served"
    for labels, metric_of in groups:
        assert metric_of, f"{name}: by ({labels}) of nothing"
        known = served[metric_of[0]] | ADDED
        assert set(labels.split(", ")) <= known, f"{name}: {metric_of[0]} has no such labels"
    for metric, label in matched:
        assert label in served[metric] | ADDED, f"{name}: {metric} has no label {label}"


def _labels(matchers: str) -> list[str]:
    return re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)


def test_events_that_queries_look_for_exist() -> None:
    found = [text for _, query in queries() for text in re.findall(r'event=~?"([^"]+)"', query)]

    assert found
    assert {word for text in found for word in text.split("|")} <= {name_of(kind) for kind in TROUBLE}


def test_the_docs_list_what_is_served_with_its_labels(served: Served) -> None:
    listed: dict[str, set[str]] = {}
    for names, labels in re.findall(r"^\| (`batchyard_[^|]*) \| ([^|]*)\|", DOCS.read_text(), re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            listed[name] = {label.strip() for label in labels.split(",") if label.strip()}
    ours = {_family(name): labels - {"le"} for name, labels in served.items() if name.startswith("batchyard_")}

    assert listed.pop("batchyard_carriers_open") == {"upstream"}  # of upstreams that take batches alone
    assert listed == ours


def _family(sample: str) -> str:
    return re.sub("_(bucket|count|sum|created)$", "", sample)


def test_every_panel_says_what_it_shows() -> None:
    panels: list[dict[str, Any]] = [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]

    assert all(panel["description"] and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in pairwise(panels):
        a, b = one["gridPos"], other["gridPos"]
        assert a["y"] < b["y"] or a["x"] + a["w"] <= b["x"] <= 24 - b["w"], "they overlap"
