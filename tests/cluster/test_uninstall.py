"""Both orders of an uninstall: no object hangs, nothing is made again, and the data is there for a new install.

Without the CRD the garbage collector cannot tell that a Model is gone, so what goes with a Model stays until its time
is over (Jobs) or the CRD is back.
"""

import time
from collections.abc import Iterator

import pytest
import yaml
from parts.kube_client import Kube, Refused, wait_for
from parts.kube_cluster import CRD_FILE, operator_login, running_cluster, scratch_namespace
from parts.kube_objects import GOOD_1, GOOD_2, condition, consumer, model, revision_of, volume
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import REVISION, FakePods, fake_pods
from parts.kube_stage import final_objects
from parts.kube_waiting import until_ready

CRD = "models.chatbot.ai"
_TICKS_SECONDS = 12
KEPT = {"PersistentVolumeClaim/model-demo", "ConfigMap/model-demo", "Deployment/office", "Deployment/character"}
MAY_STAY = {"PersistentVolumeClaim/model-other", "ConfigMap/model-other"}


@pytest.fixture(scope="module")
def own() -> Iterator[Kube]:
    """A cluster of ours alone: a cluster of the user's would lose all its Models with the CRD."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHATBOT_TEST_KUBECONFIG", raising=False)
        with running_cluster() as kube:
            yield kube


@pytest.fixture
def place(own: Kube) -> Iterator[str]:
    with scratch_namespace(own) as name:
        for number in range(3):
            own.create(volume(name, number))
        yield name


@pytest.fixture
def own_pods(own: Kube) -> Iterator[FakePods]:
    with fake_pods(own.get) as server:
        yield server


def install(kube: Kube, namespace: str) -> None:
    """One Model whose data stays and one whose data goes, both serving."""
    kube.create(consumer(namespace))
    kube.create(consumer(namespace, "character", "other"))
    kube.create(model(namespace))
    kube.create(model(namespace, "other", storage={"deletionPolicy": "Delete"}))
    until_ready(kube, namespace)
    wait_for(lambda: condition(kube.get("Model", namespace, "other"), "Ready").get("status") == "True")
    wait_for(lambda: {"ConfigMap/model-demo", "ConfigMap/model-other"} <= set(final_objects(kube, namespace)))


def remove_crd(kube: Kube) -> None:
    kube.delete("CustomResourceDefinition", "", CRD)
    wait_for(lambda: not kube.is_there("CustomResourceDefinition", "", CRD), 60)


def add_crd(kube: Kube) -> None:
    kube.create(yaml.safe_load(CRD_FILE.read_text()))
    wait_for(lambda: is_served(kube), 60)


def is_served(kube: Kube) -> bool:
    try:
        kube.find("Model", "default")
    except Refused:
        return False
    return True


def left(kube: Kube, namespace: str) -> set[str]:
    """What is left, Models not counted: nobody knows them any more."""
    return set(final_objects(kube, namespace, without=("Model",)))


def annotation(kube: Kube, namespace: str) -> str:
    template = kube.get("Deployment", namespace, "office")["spec"]["template"]
    return str(template["metadata"]["annotations"].get(REVISION, ""))


@pytest.mark.parametrize("first", ["operator", "crd"])
def test_an_uninstall_in_either_order_leaves_the_data_and_nothing_else(
    own: Kube, place: str, own_pods: FakePods, first: str
) -> None:
    login = operator_login(own, place)
    with running_operator(login, place, own_pods.url) as operator:
        install(own, place)
        pods = {pod["metadata"]["uid"] for pod in own.find("Pod", place, labelSelector="app=office")}

        if first == "operator":
            assert operator.stop() == 0
            remove_crd(own)
        else:
            remove_crd(own)
            _goes_on_without_models(operator)

        time.sleep(_TICKS_SECONDS)
        stays = left(own, place) - KEPT - MAY_STAY
        assert KEPT <= left(own, place)
        assert all(own.get("Job", place, name.split("/")[1])["spec"]["ttlSecondsAfterFinished"] for name in stays), (
            stays
        )
        assert annotation(own, place) == revision_of(GOOD_1)
        assert {pod["metadata"]["uid"] for pod in own.find("Pod", place, labelSelector="app=office")} == pods

        add_crd(own)
        wait_for(lambda: left(own, place) == KEPT, 120, lambda: left(own, place))
        if first == "operator":
            operator.start()
        own.create(model(place, sha256=GOOD_2))
        until_ready(own, place, GOOD_2, seconds=120)
        history = own.get("Model", place, "demo")["status"]
        assert history["lastGoodRevision"] == revision_of(GOOD_2)
        assert len([name for name in left(own, place) if name.startswith("PersistentVolumeClaim")]) == 1


def _goes_on_without_models(operator: Operator) -> None:
    """It says what is missing, and lives."""
    wait_for(lambda: "install the CustomResourceDefinition models.chatbot.ai" in operator.log, 90, lambda: operator.log)
    assert operator.is_running
    assert operator.get("/healthz").status_code == 200


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_model_deleted_with_its_namespace_hangs_nothing(own: Kube, own_pods: FakePods, policy: str) -> None:
    with scratch_namespace(own) as namespace:
        own.create(volume(namespace))
        with running_operator(operator_login(own, namespace), namespace, own_pods.url) as operator:
            own.create(consumer(namespace))
            own.create(model(namespace, storage={"deletionPolicy": policy}))
            until_ready(own, namespace)

            own.delete("Namespace", "", namespace)

            wait_for(lambda: not own.is_there("Namespace", "", namespace), 90)
            assert operator.get("/healthz").status_code == 200
        own.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
