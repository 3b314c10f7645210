"""The load test as a Job inside the real node's cluster, through the gateway, under the restricted standard."""

import csv
import json
from pathlib import Path

import pytest
from parts import kube_loadtest
from parts.kube_site import Site

pytestmark = pytest.mark.timeout(1500, func_only=True)


@pytest.mark.scale
def test_the_job_ends_complete_and_its_report_can_be_fetched(site: Site, tmp_path: Path, scale, figures) -> None:
    seconds = scale(20, 420)
    site.node.volume("results", "1Gi")
    wanted = kube_loadtest.objects(
        scenario="v1.7.4", requires=("answered>=10", "connection_errors<=0"), more=[f"--seconds={seconds}"]
    )
    for each in wanted:
        site.node.kube.create(each)

    status = kube_loadtest.until_over(site.node, seconds)
    log = site.node.say("kubectl logs -n chatbot job/chatbot-loadtest")
    assert status.get("succeeded") == 1, log
    kube_loadtest.fetch(site.node, tmp_path)

    results = tmp_path / "results"
    summary = json.loads((results / "summary.json").read_text())
    with (results / "requests.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status_code"] for row in rows} <= {"200", "429"}
    assert "<html" in (results / "report.html").read_text()
    assert {policy["metadata"]["name"] for policy in site.node.kube.find("NetworkPolicy", "chatbot")} >= {
        "chatbot-loadtest"
    }
    assert not site.node.kube.is_there("Pod", "chatbot", "chatbot-loadtest-results"), "the manual takes it away"
    site.node.say(f"kubectl delete -f {kube_loadtest.JOB}")
    names = ("success_share", "mean_seconds", "p95_seconds", "requests_per_hour", "connection_errors")
    figures(requests=len(rows), **{name: summary["figures"][name] for name in names})
