"""What tools of others say about every profile of the charts: kubeconform, checkov, kube-score, the oldest Helm."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from parts.helm import CHARTS, NEIGHBOURS, ROOT, Helm, go_tool, helm, neighbour_kinds, python_tools
from parts.manifest_schemas import write_schemas

PROFILES = sorted(CHARTS.glob("*/ci/*.yaml"))
OLDEST, NEWEST = "1.30.0", "1.37.0"
"""Of Kubernetes: what Chart.yaml asks for, and the newest that there are schemas of."""
ACCEPTED = yaml.safe_load((Path(__file__).parent / "accepted_advice.yaml").read_text())
OK = 10
"""kube-score's grade of a check without a finding."""
TOOL_SECONDS = 600


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One piece of advice about one object."""

    tool: str
    check: str
    object: str
    says: str

    def is_accepted_by(self, row: dict[str, Any]) -> bool:
        checks = str(row["checks"].get(self.tool, "")).split()
        return self.check in checks and re.fullmatch(row["objects"], self.object) is not None


@pytest.fixture(scope="module")
def rendered(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file for each profile, as text that Helm wrote."""
    folder = tmp_path_factory.mktemp("rendered")
    known = [part for kind in NEIGHBOURS for part in ("-a", kind)]
    for profile in PROFILES:
        chart = profile.parents[1].name
        told = helm.run("template", "chatbot", CHARTS / chart, "-n", "chatbot", "-f", profile, *known)
        (folder / f"{chart}-{profile.stem}.yaml").write_text(told.stdout)
    return folder


def said(*command: str | Path) -> str:
    """What a tool writes; its exit status only repeats that it found something."""
    told = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS)
    assert told.stdout, told.stderr
    return told.stdout


@pytest.mark.timeout(900)  # the first time tools are built
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_fits_the_schemas_of_the_oldest_and_the_newest_kubernetes(
    rendered: Path, tmp_path: Path, version: str, figures: Callable[..., None]
) -> None:
    (package,) = python_tools("manifest-checks").glob("lib/python3*/site-packages/kubernetes_validate")
    kinds = [*neighbour_kinds(), *(CHARTS / "chatbot-operator/files").glob("*.chatbot.ai.yaml")]
    location = write_schemas(package, version, kinds, tmp_path)
    files = [*rendered.iterdir(), *(ROOT / "manifests").glob("*.yaml")]

    told = json.loads(said(go_tool("kubeconform"), "-strict", "-summary", "-output", "json",
                           "-schema-location", location, *files))  # fmt: skip

    # no schema of schemas: the API server of the cluster tests takes the definition itself
    wrong = [one for one in told["resources"] if one["kind"] != "CustomResourceDefinition"]
    assert wrong == []
    assert told["summary"]["valid"] >= 150 and told["summary"]["skipped"] == 0
    figures(kubernetes=version, valid=told["summary"]["valid"], invalid=len(wrong))


def test_a_field_that_nobody_knows_does_not_fit(tmp_path: Path) -> None:
    (package,) = python_tools("manifest-checks").glob("lib/python3*/site-packages/kubernetes_validate")
    location = write_schemas(package, NEWEST, neighbour_kinds(), tmp_path)
    spec = {"selector": {}, "endpoints": [{"port": "metrics", "pfad": "/metrics"}]}
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "m"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"porto": 1}]}}
    for document in ({**monitor, "spec": spec}, service):
        (tmp_path / "wrong.yml").write_text(json.dumps(document))
        told = json.loads(said(go_tool("kubeconform"), "-strict", "-output", "json", "-schema-location", location,
                               tmp_path / "wrong.yml"))  # fmt: skip
        assert [one["status"] for one in told["resources"]] == ["statusInvalid"], told


@pytest.mark.timeout(900)  # the first time tools are built
def test_advice_is_followed_or_answered(rendered: Path, figures: Callable[..., None]) -> None:
    findings = {*_of_checkov(rendered), *_of_kube_score(rendered)}

    open_questions = [one for one in findings if not any(one.is_accepted_by(row) for row in ACCEPTED)]
    skips = [(row, tool, check) for row in ACCEPTED for tool, some in row["checks"].items() for check in some.split()]
    needless = [
        (tool, check)
        for row, tool, check in skips
        if not any((one.tool, one.check) == (tool, check) and one.is_accepted_by(row) for one in findings)
    ]
    assert sorted(open_questions) == []
    assert needless == [], "rows of accepted_advice.yaml that no finding needs"
    figures(findings=len(findings), skips=len(skips))


def _of_checkov(folder: Path) -> Iterator[Finding]:
    """https://www.checkov.io: it asks nothing of a network with these options."""
    program = python_tools("manifest-checks") / "bin/checkov"
    told = json.loads(said(program, "--framework", "kubernetes", "-d", folder, "--skip-download", "-o", "json"))
    assert told["results"]["parsing_errors"] == [] and told["summary"]["passed"] > 1000
    for one in told["results"]["failed_checks"]:
        kind, _, name = one["resource"].split(".", 2)
        yield Finding("checkov", one["check_id"], f"{kind}/{name}", one["check_name"])


def _of_kube_score(folder: Path) -> Iterator[Finding]:
    """https://github.com/zegl/kube-score"""
    for file in folder.iterdir():
        told = json.loads(said(go_tool("kube-score"), "score", "-o", "json", "--kubernetes-version", "v1.36", file))
        for one in told:
            for check in one["checks"]:
                if not check["skipped"] and check["grade"] < OK:
                    name = f"{one['type_meta']['kind']}/{one['object_meta']['name']}"
                    yield Finding("kube-score", check["check"]["id"], name, str(check["comments"]))


@pytest.mark.timeout(900)  # the first time it is built
@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_the_oldest_helm_renders_the_same(rendered: Path, profile: Path) -> None:
    chart = profile.parents[1].name
    known = [part for kind in NEIGHBOURS for part in ("-a", kind)]

    # it does not know of itself that there are newer clusters than those of its own time
    told = helm("helm-oldest").run("template", "chatbot", CHARTS / chart, "-n", "chatbot", "-f", profile,
                                   "--kube-version", "1.30", *known)  # fmt: skip

    assert told.returncode == 0, told.stderr
    assert _objects(told.stdout) == _objects((rendered / f"{chart}-{profile.stem}.yaml").read_text())


def _objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    documents = [document for document in yaml.safe_load_all(text) if document]
    return {(one["kind"], f"{one['metadata'].get('namespace')}/{one['metadata']['name']}"): one for one in documents}


def test_the_oldest_helm_is_the_one_that_the_readmes_name() -> None:
    named = re.search(r"helm\.sh/helm/v3 v(3\.\d+)\.", (ROOT / "tests/tools/helm-oldest/go.mod").read_text())

    assert named
    for chart in ("chatbot", "chatbot-operator"):
        assert f"Helm {named[1]}" in (CHARTS / chart / "README.md").read_text()
