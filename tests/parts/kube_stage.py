"""A namespace with an operator that can be killed, and what is left there in the end, made comparable."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from parts.kube_client import Document, Kube, wait_for
from parts.kube_cluster import operator_login, scratch_namespace
from parts.kube_objects import story, volume
from parts.kube_operator import Operator
from parts.kube_pods import FakePods
from parts.kube_proxy import ApiProxy, api_proxy

_QUIET_SECONDS = 3.0
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PODS = re.compile(r"office-[a-z0-9]+-[a-z0-9]{5}\b")
_CHANGING = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "generation", "namespace"}
_KINDS = ("Model", "PersistentVolumeClaim", "ConfigMap", "Job", "Deployment")


class Stage:
    """A namespace, a proxy and an operator behind it, and a second one for those who start it."""

    def __init__(self, kube: Kube, namespace: str, pods: FakePods, proxy: ApiProxy) -> None:
        for number in range(3):
            kube.create(volume(namespace, number))
        self.kube, self.namespace, self.proxy = kube, namespace, proxy
        login = operator_login(kube, namespace)
        self.operator, self.second = (
            Operator(login, namespace, pods.url, proxy.url, work_tick_seconds="2") for _ in range(2)
        )

    def wait(self, is_over: Callable[[Kube, str], bool], seconds: float = 300) -> None:
        """Return when something is over."""
        wait_for(lambda: is_over(self.kube, self.namespace), seconds, self._story)

    def wait_until_quiet(self) -> None:
        """Up, and nothing was written for a tick and a half: what had to follow the status has followed."""
        self.operator.wait_until_up()
        written, since = len(self.proxy.writes), time.monotonic()
        while time.monotonic() - since < _QUIET_SECONDS:
            time.sleep(0.1)
            if len(self.proxy.writes) != written:
                written, since = len(self.proxy.writes), time.monotonic()

    def _story(self) -> str:
        models = self.kube.find("Model", self.namespace)
        return "\n".join(map(story, models)) + self.operator.log[-2000:]


@contextmanager
def stage(kube: Kube, pods: FakePods) -> Iterator[Stage]:
    """A stage of its own, its operator not started yet."""
    with scratch_namespace(kube) as namespace, api_proxy(kube.login) as proxy:
        place = Stage(kube, namespace, pods, proxy)
        try:
            yield place
        finally:
            place.operator.remove()
            place.second.remove()


def final_objects(kube: Kube, namespace: str, without: Collection[str] = ()) -> dict[str, Any]:
    """What is left in the end, without times, UIDs and what Kubernetes' own controllers write.

    Args:
        without: Kinds that are left out.
    """
    found: dict[str, Any] = {}
    for kind in (kind for kind in _KINDS if kind not in without):
        for document in kube.find(kind, namespace):
            if document["metadata"]["name"] == "kube-root-ca.crt":
                continue
            found[f"{kind}/{document['metadata']['name']}"] = _comparable(kind, document)
    return found


def _comparable(kind: str, document: Document) -> Any:
    metadata = {key: value for key, value in document["metadata"].items() if key not in _CHANGING}
    metadata.pop("annotations", None)
    for owner in metadata.get("ownerReferences", ()):
        owner.pop("uid")
    rest: Document = {"metadata": metadata}
    if kind == "Model":
        rest |= {"spec": document["spec"], "status": _without_times(document["status"])}
    if kind == "ConfigMap":
        rest |= {"data": document["data"]}
    if kind == "Deployment":
        rest |= {"template": document["spec"]["template"]}
    if kind == "Job":
        arguments = document["spec"]["template"]["spec"]["containers"][0]["args"]
        rest |= {"arguments": [one for one in arguments if not one.startswith("--partial-key")]}
    return rest


def _without_times(status: Document) -> Any:
    """Condition by condition, so that a failure is readable; pods have other names in every run."""
    text = _PODS.sub("POD", _TIMES.sub("TIME", json.dumps(status)))
    return json.loads(re.sub(r'"pausedSeconds": \d+', '"pausedSeconds": 0', text))


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """What is not the same, one line each."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = sorted(set(wanted) | set(found))
        return [line for key in keys for line in differences(wanted.get(key), found.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{path}[{number}]")]
    return [] if wanted == found else [f"{path}: {wanted!r} became {found!r}"]
