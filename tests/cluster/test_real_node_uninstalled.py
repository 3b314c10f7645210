"""The last of the files that share the real node: both charts go, in each order, and the data stays."""

from collections.abc import Sequence

import pytest
from parts import kube_load
from parts.kube_client import wait_for
from parts.kube_kinds import remove_kinds
from parts.kube_site import Site, install

pytestmark = pytest.mark.timeout(900, func_only=True)
KIND = "models.chatbot.ai"
KINDS = (
    "all,configmaps,secrets,networkpolicies,poddisruptionbudgets,ingresses,httproutes,servicemonitors,"
    "prometheusrules,persistentvolumeclaims"
)
SERVICES, OPERATOR = "helm uninstall chatbot -n chatbot", "helm uninstall chatbot-operator -n chatbot-system"
KEPT = {
    "configmap/kube-root-ca.crt",
    "configmap/model-small",
    "persistentvolumeclaim/data-chatbot-mongodb-0",
    "persistentvolumeclaim/model-small",
}


def left(site: Site) -> set[str]:
    return set(site.node.say(f"kubectl get {KINDS} -n chatbot -o name").split())


def running(site: Site) -> list[str]:
    """Pods that are no download's."""
    pods = [pod["metadata"] for pod in site.node.kube.find("Pod", "chatbot")]
    return [pod["name"] for pod in pods if "batch.kubernetes.io/job-name" not in pod["labels"]]


def uninstall(site: Site, commands: Sequence[str]) -> None:
    for command in commands:
        if command == KIND:
            remove_kinds(site.node.kube, [KIND])
        else:
            site.node.say(command)
        if command != SERVICES and commands.index(command) < commands.index(SERVICES):
            assert kube_load.ask(site.office, "meanwhile") == "ok", "what is served goes on"
    # what NOTES say: Helm does not take away what `helm test` made
    site.node.say("kubectl delete pod,configmap -n chatbot -l app.kubernetes.io/component=test")
    # what the manual says: what is compiled stays, for whoever still serves by it
    site.node.say("kubectl delete configmap -n chatbot chatbot-tenants chatbot-characters --ignore-not-found")


@pytest.mark.parametrize(
    "commands",
    [(SERVICES, OPERATOR), (OPERATOR, SERVICES), (KIND, SERVICES, OPERATOR)],
    ids=["usual", "operator", "kind"],
)
def test_uninstalled_it_leaves_data_and_nothing_else(site: Site, commands: Sequence[str]) -> None:
    if not site.node.kube.find("Deployment", "chatbot"):
        install(site)
    folders = {path.parent.name for path in site.node.folder.glob("volumes/*/*/model.gguf")}

    uninstall(site, commands)

    wait_for(lambda: running(site) == [], 180, lambda: running(site))
    if KIND in commands:  # nothing can tell that a Model is gone, so a finished download goes when its time is over
        assert {name.split("/dl-")[0] for name in left(site) - KEPT} <= {"pod", "job.batch"}
    else:
        wait_for(lambda: left(site) == KEPT, 60, lambda: left(site) ^ KEPT)
        assert site.node.kube.find("Model", "chatbot") == []
    assert site.node.kube.find("Deployment", "chatbot-system") == []
    assert site.node.kube.is_there("CustomResourceDefinition", "", KIND) is (KIND not in commands)
    assert {path.parent.name for path in site.node.folder.glob("volumes/*/*/model.gguf")} == folders, "models stay"
    assert folders
