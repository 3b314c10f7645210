"""Rules, alerts, dashboards: valid, tested by promtool, and about metrics that exist."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot.server.metrics import METRICS as SERVICE_METRICS
from chatbot_operator.metrics import METRICS as OPERATOR_METRICS
from parts.helm import CHARTS, CHOSEN, Helm, of_kind
from parts.needs import need

ROOT = Path(__file__).parents[2]
TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
DASHBOARDS = sorted((CHARTS / "chatbot/files/dashboards").glob("*.json"))
OURS = {metric.name for metric in SERVICE_METRICS} | {metric.name for metric in OPERATOR_METRICS}
FOREIGN = {"up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}
"""Metrics of Prometheus and of the kubelet that rules may use; dashboards may not."""
SUFFIXES = ("_bucket", "_count", "_sum")
UNITS = {"bytes", "cps", "currencyUSD", "ops", "percentunit", "reqps", "s", "short"}


@pytest.fixture(scope="session")
def spec(helm: Helm) -> dict[str, Any]:
    """The rules as the chart renders them."""
    (rule,) = of_kind(helm.render("chatbot", sets=[*CHOSEN, "monitoring.rules.enabled=true"]), "PrometheusRule")
    found: dict[str, Any] = rule["spec"]
    return found


def alerts(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule]


def metrics_of(expression: str) -> Iterator[str]:
    """Names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
    for name in re.findall(r"(?<![\w:])([a-z_][a-z0-9_:]*)(?![\w(:])", re.sub(r"\{[^}]*\}", "", bare)):
        if name.startswith(("chatbot_", "kubelet_", "service:")) or name == "up":
            yield name


def base(name: str) -> str:
    """The family of a histogram's series."""
    return next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in OURS), name)


def test_promtool_accepts_the_rules(spec: dict[str, Any], tmp_path: Path) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))

    told = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_before(spec: dict[str, Any], tmp_path: Path, file: Path) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(file, tmp_path)

    told = subprocess.run([promtool, "test", "rules", tmp_path / file.name], capture_output=True, text=True)

    assert told.returncode == 0, told.stdout + told.stderr


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not_yet(spec: dict[str, Any]) -> None:
    cases = [case for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]
             for case in test.get("alert_rule_test", [])]  # fmt: skip
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}

    assert {rule["alert"] for rule in alerts(spec)} == fires == silent


def test_every_alert_says_what_is_wrong_and_where_to_look(spec: dict[str, Any]) -> None:
    headings = {line.removeprefix("## ").lower() for line in (ROOT / "docs/runbook.md").read_text().splitlines()}
    for rule in alerts(spec):
        assert re.fullmatch(r"Chatbot[A-Z]\w+", rule["alert"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert "$value" in rule["annotations"]["description"], rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in headings


def test_the_runbook_has_no_heading_without_an_alert(spec: dict[str, Any]) -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)

    assert sorted(headings) == sorted({rule["alert"] for rule in alerts(spec)})


def test_rules_are_about_metrics_that_exist(spec: dict[str, Any]) -> None:
    rules = [rule for group in spec["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}

    used = {base(name) for rule in rules for name in metrics_of(rule["expr"])}

    assert used <= OURS | FOREIGN | recorded
    assert recorded <= used, "nobody reads them"


def test_a_rule_can_be_left_out_and_the_operators_be_off(helm: Helm) -> None:
    sets = [
        *CHOSEN, "monitoring.rules.enabled=true", "monitoring.rules.operator=false", "character.enabled=false",
        'monitoring.rules.disabled=["ChatbotWaitsLong"]',
    ]  # fmt: skip
    (rule,) = of_kind(helm.render("chatbot", sets=sets), "PrometheusRule")

    names = {(entry["alert"], entry["labels"].get("service")) for entry in alerts(rule["spec"])}
    assert ("ChatbotServiceMissing", "office") in names and ("ChatbotServiceMissing", "character") not in names
    assert not {name for name, _ in names} & {"ChatbotWaitsLong", "ChatbotOperatorMissing", "ChatbotModelNotReady"}


def test_the_alert_about_the_operator_knows_it_whatever_the_release_is_called(helm: Helm, spec: dict[str, Any]) -> None:
    sets = ["serviceMonitor.enabled=true", "fullnameOverride=models"]
    rendered = helm.render("chatbot-operator", sets=sets, release="blue")
    (monitor,), (service,) = of_kind(rendered, "ServiceMonitor"), of_kind(rendered, "Service")
    (rule,) = (rule for rule in alerts(spec) if rule["alert"] == "ChatbotOperatorMissing")

    job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    pattern = re.search(r'job=~"([^"]+)"', rule["expr"])
    assert pattern and re.fullmatch(pattern[1], job)


def test_claims_that_are_called_otherwise_are_watched_too(helm: Helm) -> None:
    sets = [*CHOSEN, "monitoring.rules.enabled=true", "office.modelClaim=weights"]
    (rule,) = of_kind(helm.render("chatbot", sets=sets), "PrometheusRule")
    (alert,) = (one for one in alerts(rule["spec"]) if one["alert"] == "ChatbotVolumeNearlyFull")

    pattern = re.search(r'persistentvolumeclaim=~"([^"]+)"', alert["expr"])
    assert pattern
    for claim in ("model-character", "data-chatbot-mongodb-0", "weights"):
        assert re.fullmatch(pattern[1], claim)
    assert not re.fullmatch(pattern[1], "somebody-elses")


def test_scraped_labels_win_over_the_targets(helm: Helm) -> None:
    sets = {
        "chatbot": [*CHOSEN, "monitoring.serviceMonitors.enabled=true"],
        "chatbot-operator": ["serviceMonitor.enabled=true"],
    }
    monitors = [m for chart, chosen in sets.items() for m in of_kind(helm.render(chart, sets=chosen), "ServiceMonitor")]

    assert len(monitors) == 3
    assert [m["spec"]["jobLabel"] for m in monitors if "jobLabel" in m["spec"]] == ["app.kubernetes.io/name"]
    for monitor in monitors:
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["honorLabels"] is True, "else `service` would be the Kubernetes Service"
        assert endpoint["port"] == "metrics" and endpoint["path"] == "/metrics"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows_of_metrics_that_exist(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert dashboard["uid"] == f"chatbot-{file.stem}" and len(panels) >= 8
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            names = {base(name) for name in metrics_of(target["expr"])}
            assert names and names <= OURS, target["expr"]
            assert target["legendFormat"], panel["title"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_row_of_panels_is_as_wide_as_the_page(file: Path) -> None:
    widths: dict[int, int] = {}
    for panel in json.loads(file.read_text())["panels"]:
        widths[panel["gridPos"]["y"]] = widths.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]

    assert set(widths.values()) == {24}


def test_every_metric_is_on_a_dashboard() -> None:
    text = " ".join(file.read_text() for file in DASHBOARDS)

    assert {name for name in OURS if name not in text} == set()


def test_dashboards_are_delivered_as_they_are(helm: Helm) -> None:
    maps = [
        document
        for document in of_kind(
            helm.render("chatbot", sets=[*CHOSEN, "monitoring.dashboards.enabled=true"]), "ConfigMap"
        )
        if document["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]

    assert len(maps) == len(DASHBOARDS) == 5
    for document in maps:
        ((name, text),) = document["data"].items()
        assert json.loads(text) == json.loads((DASHBOARDS[0].parent / name.removeprefix("chatbot-")).read_text())


def test_every_generated_file_of_the_charts_is_current() -> None:
    told = subprocess.run([sys.executable, CHARTS / "generate/main.py", "--check"], capture_output=True, text=True)

    assert told.returncode == 0, told.stdout + told.stderr


def test_the_rendered_manifests_are_current(helm: Helm, tmp_path: Path) -> None:
    environment = {"HELM": helm.path, "PATH": "/usr/bin:/bin"}
    subprocess.run([ROOT / "manifests/render.sh", tmp_path], env=environment, check=True, timeout=60)

    stale = [
        file.name for file in tmp_path.iterdir() if file.read_text() != (ROOT / "manifests" / file.name).read_text()
    ]
    assert stale == [], "manifests/render.sh"
    assert len(list(tmp_path.iterdir())) == 3
