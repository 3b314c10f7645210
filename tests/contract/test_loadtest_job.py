"""The load test inside a cluster: its Job, what it is started with, and whom it may talk to."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot_loadtest.command_line import parse

ROOT = Path(__file__).parents[2]
DOCUMENTS = list(yaml.safe_load_all((ROOT / "manifests/loadtest-job.yaml").read_text()))
RESULTS = yaml.safe_load((ROOT / "manifests/loadtest-results.yaml").read_text())
VALUES = yaml.safe_load((ROOT / "charts/chatbot/values.yaml").read_text())
DOCKERFILE = (ROOT / "loadtest/Dockerfile").read_text()


def document(kind: str) -> dict[str, Any]:
    (found,) = [each for each in DOCUMENTS if each["kind"] == kind]
    return dict(found)


@pytest.fixture
def pod() -> dict[str, Any]:
    return dict(document("Job")["spec"]["template"])


def test_the_job_starts_a_run_that_the_command_line_knows(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]

    chosen = parse(container["args"])

    assert (chosen.command, chosen.scenario) == ("run", "ramp")
    assert "goodput_ratio>=0.9" in chosen.require
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(chosen.out) in mounts, "the results outlive the pod, and its own disk is read-only"


def test_its_image_runs_the_load_tests_and_has_the_version_of_the_house(pod: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert pod["spec"]["containers"][0]["image"] == f"chatbot-loadtest:{version}"
    assert re.search(r'^ENTRYPOINT \["python3?", "-m", "chatbot_loadtest"\]$', DOCKERFILE, re.MULTILINE)
    assert f"USER {pod['spec']['securityContext']['runAsUser']}:" in DOCKERFILE


def test_the_pod_that_shows_the_results_reads_the_same_claim_as_the_same_user(pod: dict[str, Any]) -> None:
    (writer,), (reader,) = pod["spec"]["containers"], RESULTS["spec"]["containers"]

    assert RESULTS["spec"]["volumes"] == pod["spec"]["volumes"]
    assert RESULTS["spec"]["securityContext"] == pod["spec"]["securityContext"]
    assert (reader["image"], reader["securityContext"]) == (writer["image"], writer["securityContext"])
    assert reader["volumeMounts"] == [{**writer["volumeMounts"][0], "readOnly": True}]
    policy = document("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= RESULTS["metadata"]["labels"].items(), "it reaches no more than the run did"


def test_the_claim_of_the_results_is_there(pod: dict[str, Any]) -> None:
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"]}

    assert claims == {document("PersistentVolumeClaim")["metadata"]["name"]}
    assert {each["metadata"]["namespace"] for each in DOCUMENTS} == {"chatbot"}


def test_a_missed_threshold_is_not_tried_again(pod: dict[str, Any]) -> None:
    assert document("Job")["spec"]["backoffLimit"] == 0
    assert pod["spec"]["restartPolicy"] == "Never"


def test_the_pod_is_allowed_in_a_restricted_namespace(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False


def test_the_pod_reaches_dns_and_the_gateway_of_the_chart_and_nothing_else(pod: dict[str, Any]) -> None:
    spec = document("NetworkPolicy")["spec"]

    assert spec["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == []
    names, gateway = spec["egress"]
    assert names["to"] == VALUES["networkPolicy"]["dns"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert gateway == {"to": VALUES["networkPolicy"]["gateway"]}
