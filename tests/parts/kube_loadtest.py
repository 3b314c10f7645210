"""The load test inside a cluster: manifests/loadtest-job.yaml as it stands, but for what a person edits in it."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from parts.kube_client import Document, wait_for
from parts.kube_node import Node

ROOT = Path(__file__).parents[2]
JOB = "manifests/loadtest-job.yaml"
_END_SECONDS = 120.0
"""Beside the scenario's own length: the pod's start, the requests under way at the end, and the report."""


def objects(*, scenario: str, requires: Sequence[str], more: Sequence[str]) -> list[Document]:
    """The manifest's objects, with another scenario, other thresholds and more arguments."""
    found: list[Document] = list(yaml.safe_load_all((ROOT / JOB).read_text()))
    (job,) = (each for each in found if each["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    kept = [each for each in container["args"] if not each.startswith(("--scenario", "--require"))]
    container["args"] = [*kept, f"--scenario={scenario}", *(f"--require={each}" for each in requires), *more]
    return found


def until_over(node: Node, seconds: float) -> Document:
    """Wait until the Job has ended, however; its status."""

    def ended() -> Document | None:
        status: Document = node.kube.get("Job", "chatbot", "chatbot-loadtest").get("status", {})
        kinds = {each["type"] for each in status.get("conditions", []) if each["status"] == "True"}
        return status if kinds & {"Complete", "Failed"} else None

    found = wait_for(ended, seconds + _END_SECONDS, lambda: node.say("kubectl get pods,events -n chatbot | tail -30"))
    assert found
    return found


def fetch_commands() -> str:
    """What loadtest/README.md says about fetching the results, as it stands there."""
    text = (ROOT / "loadtest/README.md").read_text().split("<!-- fetch: begin -->")[1].split("<!-- fetch: end -->")[0]
    lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    assert lines
    return " && ".join(lines)


def fetch(node: Node, folder: Path) -> None:
    """Follow those commands; the results are in `results` of the folder then."""
    node.say(f"root=$PWD; cd {shlex.quote(str(folder))} && ln -sfn $root/manifests manifests && {fetch_commands()}")
