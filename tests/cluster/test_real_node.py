"""README's install on a real node, with our images, and what may happen to it later. The tests run in this order."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts import kube_load
from parts.kube_client import Refused, wait_for
from parts.kube_faults import FAULTS, page, suffer
from parts.kube_objects import story
from parts.kube_site import DEMO, Site, installed
from parts.toy_gguf import make_toy

ROOT = Path(__file__).parents[2]
COMMAND = "CHATBOT_TEST_SCALE=full pytest tests/cluster/test_real_node.py"
pytestmark = pytest.mark.timeout(900, func_only=True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with installed() as one:
        yield one


def test_readme_leads_from_an_empty_cluster_to_an_answer(site: Site, figures) -> None:
    revision = hashlib.sha256(DEMO.read_bytes()).hexdigest()[:16]

    assert kube_load.page(site.office, "/info")["model"]["revision"] == revision
    assert site.model()["status"]["lastGoodRevision"] == revision
    log = site.node.say("kubectl logs -n chatbot-system deploy/chatbot-operator")
    assert "the watches ended" not in log, "it may watch as whoever it is in its container"
    figures(**site.seconds, snapshots=site.snapshots)


def test_helm_test_chats(site: Site) -> None:
    said = site.node.say("helm test chatbot -n chatbot --logs", 400)

    assert "FAILED" not in said
    for check in ("office: answer", "office: stream", "character: answer", "not found"):
        assert f"{check}: ok" in said, said


def test_a_conversation_is_remembered_in_the_trial_store(site: Site) -> None:
    assert kube_load.ask(site.office, "somebody", db_id="one") == "ok"
    assert kube_load.ask(site.office, "somebody", db_id="one") == "ok"


def test_a_hostile_pod_is_refused_beside_those_that_run(site: Site) -> None:
    container = {"name": "c", "image": "localhost/hello:1", "securityContext": {"privileged": True}}
    metadata = {"name": "hostile", "namespace": "chatbot"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}

    with pytest.raises(Refused) as refused:
        site.node.kube.create(pod)

    assert refused.value.status == 403 and "restricted" in refused.value.message


def test_one_replica_changes_its_model_in_place_and_nobody_fails(site: Site, tmp_path: Path, figures) -> None:
    source = site.offer(make_toy(tmp_path / "toy.gguf", seed=1))

    with kube_load.asking(site.office) as load:
        seconds = site.until_ready(site.change(source))

    assert load.failed == []
    assert kube_load.page(site.office, "/info")["model"]["revision"] == source["sha256"][:16]
    figures(change_s=seconds, **load.summary())


@pytest.mark.parametrize("fault", ["nan", "mute"])
def test_a_model_that_only_the_engine_finds_bad_is_taken_back(site: Site, tmp_path: Path, fault: str, figures) -> None:
    before = site.offer(make_toy(tmp_path / "good.gguf", seed=1))
    good = site.change(before)
    site.until_ready(good)
    source = site.offer(make_toy(tmp_path / "bad.gguf", seed=2, **{fault: True}))
    reason = {"nan": "SmokeNaN", "mute": "SmokeEmpty"}[fault]

    with kube_load.asking(site.character) as load:
        began = time.monotonic()
        site.change(source)
        wait_for(lambda: site.says("RolledBack") == f"True/{reason}", 180, lambda: story(site.model()))
        seconds = round(time.monotonic() - began, 1)
        wait_for(lambda: site.says("Available") == "True/Serving", 120, lambda: story(site.model()))

    assert load.failed == []
    assert kube_load.page(site.character, "/info")["model"]["revision"] == good
    site.until_ready(site.change(before))
    figures(rolled_back_s=seconds, **load.summary())


@pytest.mark.scale
def test_two_replicas_roll_to_other_models_and_nobody_fails(site: Site, tmp_path: Path, scale, figures) -> None:
    site.upgrade(office={"replicas": 2, "gpu": {"spare": True}})
    site.until_rolled_out()
    seconds = []

    with kube_load.asking(site.office, stream_tokens=scale(400, 900)) as load:
        for number in range(scale(1, 10)):
            source = site.offer(make_toy(tmp_path / f"{number}.gguf", seed=10 + number))
            seconds.append(site.until_ready(site.change(source, strategy="RollingUpdate")))
        wait_for(lambda: len(load.asked) >= scale(20, 1000), 600)

    assert load.failed == []
    figures(changes=len(seconds), change_s=seconds, **load.summary())


def test_an_evicted_pod_takes_nobody_with_it(site: Site, figures) -> None:
    site.until_rolled_out()
    pod = site.node.pods("office")[0]["metadata"]["name"]

    with kube_load.asking(site.office) as load:
        path = f"/api/v1/namespaces/chatbot/pods/{pod}/eviction"
        site.node.kube.call("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}})
        wait_for(lambda: not site.node.kube.is_there("Pod", "chatbot", pod), 180)
        site.until_rolled_out()

    assert load.failed == []
    figures(**load.summary())


def test_a_killed_pod_takes_only_what_it_was_answering(site: Site, figures) -> None:
    pod = site.node.pods("office")[0]["metadata"]["name"]

    with kube_load.asking(site.office, clients=4) as load:
        wait_for(lambda: load.answered >= 5)
        killed_at = time.monotonic() - load.began_at
        site.node.say(f"kubectl delete pod {pod} -n chatbot --grace-period=0 --force")
        site.until_rolled_out()
        settled_at = time.monotonic() - load.began_at
        wait_for(lambda: sum(one.at > settled_at for one in load.asked) >= 10)

    late = [one for one in load.failed if one.at > settled_at]
    assert late == []
    figures(failed_for_s=round(max([one.at - killed_at for one in load.failed], default=0.0), 1), **load.summary())


def test_upgrade_and_rollback_keep_what_people_scaled_and_lose_nobody(site: Site, figures) -> None:
    site.node.say("kubectl scale deployment/chatbot-character -n chatbot --replicas=2")
    served = kube_load.page(site.office, "/info")["model"]["revision"]

    with kube_load.asking(site.office) as load:
        site.upgrade(log={"level": "warning"})
        site.until_rolled_out()
        upgraded = len(load.asked)
        site.node.say("helm rollback chatbot -n chatbot")
        site.until_rolled_out()

    assert load.failed == []
    assert site.node.kube.get("Deployment", "chatbot", "chatbot-character")["spec"]["replicas"] == 2
    assert kube_load.page(site.office, "/info")["model"]["revision"] == served
    figures(upgrade=upgraded, **load.summary())


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_faults_are_told_with_a_remedy_while_the_last_good_model_answers(
    site: Site, tmp_path: Path, scale, figures
) -> None:
    site.upgrade(
        office={"replicas": 2, "gpu": {"spare": True}}, character={"enabled": False}, notFound={"enabled": False}
    )
    site.until_ready(site.change(site.offer(make_toy(tmp_path / "good.gguf", seed=1)), strategy="RollingUpdate"))

    rows, missed = [], []
    faults = FAULTS[: scale(2, len(FAULTS))]
    for fault in faults:
        try:
            rows.append(suffer(site, fault, tmp_path))
        except AssertionError as failure:  # the others are worth knowing, too
            missed.append(f"{fault.title}: {failure}")

    figures(faults=len(rows), slowest_s=max(row.seconds for row in rows), failed=sum(row.failed for row in rows))
    if len(faults) == len(FAULTS):
        (ROOT / "docs/faults.md").write_text(page(rows, COMMAND))
    assert missed == []
    assert [(row.fault.title, row.failed) for row in rows if row.failed] == []


def test_uninstalled_it_leaves_data_and_nothing_else(site: Site) -> None:
    kube, kinds = site.node.kube, "all,configmaps,secrets,networkpolicies,poddisruptionbudgets,ingresses,pvc,models"
    site.node.say("helm uninstall chatbot -n chatbot")
    site.node.say("helm uninstall chatbot-operator -n chatbot-system")
    # what NOTES say: Helm does not take away what `helm test` made
    site.node.say("kubectl delete pod,configmap -n chatbot -l app.kubernetes.io/component=test")

    wait_for(lambda: kube.find("Pod", "chatbot") == [], 180, lambda: site.node.say("kubectl get pods -n chatbot"))
    left = site.node.say(f"kubectl get {kinds} -n chatbot -o name").split()
    assert sorted(left) == [
        "configmap/kube-root-ca.crt",
        "configmap/model-small",
        "persistentvolumeclaim/data-chatbot-mongodb-0",
        "persistentvolumeclaim/model-small",
    ]
    assert kube.is_there("CustomResourceDefinition", "", "models.chatbot.ai")
    folders = {path.parent.name for path in site.node.folder.glob("volumes/*/*/model.gguf")}
    assert len(folders) >= 2, "the models stay on the volume"
