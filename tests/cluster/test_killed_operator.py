"""The operator is killed after each of its writes: the end is always the one of a run without kills.

A deletion is not here: the operator writes nothing then (test_operations.py deletes with the operator dead).
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from parts.kube_client import Document, Kube, wait_for
from parts.kube_cluster import operator_login, scratch_namespace
from parts.kube_objects import BAD, GOOD_1, GOOD_2, condition, consumer, model, story, volume
from parts.kube_operator import Operator
from parts.kube_pods import FakePods
from parts.kube_proxy import ApiProxy, Moment, api_proxy

_MOST_WRITES = 60
_QUIET_SECONDS = 3.0
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PODS = re.compile(r"office-[a-z0-9]+-[a-z0-9]{5}\b")
_CHANGING = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink", "generation", "namespace"}


def create(kube: Kube, namespace: str) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))


def change(kube: Kube, namespace: str) -> None:
    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}}})


def change_badly(kube: Kube, namespace: str) -> None:
    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": BAD}}})


def ready(kube: Kube, namespace: str, sha256: str) -> bool:
    document = kube.get("Model", namespace, "demo")
    is_current = document.get("status", {}).get("observedGeneration") == document["metadata"]["generation"]
    return (
        is_current
        and document["status"]["revision"] == sha256[:16]
        and condition(document, "Ready").get("status") == "True"
    )


def taken_back(kube: Kube, namespace: str) -> bool:
    document = kube.get("Model", namespace, "demo")
    is_back = condition(document, "RolledBack").get("status") == "True"
    return is_back and condition(document, "Available").get("status") == "True" and settled(kube, namespace, GOOD_1)


def settled(kube: Kube, namespace: str, sha256: str) -> bool:
    deployment = kube.get("Deployment", namespace, "office")
    annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
    status = deployment["status"]
    is_done = status.get("updatedReplicas") == status.get("replicas") == status.get("readyReplicas") == 1
    return annotations.get("chatbot.ai/model-revision") == sha256[:16] and is_done


STEPS: dict[str, tuple[list[Callable[[Kube, str], None]], Callable[[Kube, str], None], Callable[[Kube, str], bool]]] = {
    "create": ([], create, lambda k, n: ready(k, n, GOOD_1) and settled(k, n, GOOD_1)),
    "change": ([create], change, lambda k, n: ready(k, n, GOOD_2) and settled(k, n, GOOD_2)),
    "bad change": ([create], change_badly, taken_back),
}


def final_objects(kube: Kube, namespace: str) -> dict[str, Any]:
    """What is left in the end, without times, UIDs and what Kubernetes' own controllers write."""
    found: dict[str, Any] = {}
    for kind in ("Model", "PersistentVolumeClaim", "ConfigMap", "Job", "Deployment"):
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


class Stage:
    """A namespace, a proxy and an operator behind it."""

    def __init__(self, kube: Kube, namespace: str, pods: FakePods, proxy: ApiProxy) -> None:
        for number in range(3):
            kube.create(volume(namespace, number))
        self.kube, self.namespace, self.proxy = kube, namespace, proxy
        self.operator = Operator(operator_login(kube, namespace), namespace, pods.url, proxy.url, work_tick_seconds="2")

    def play(self, step: str, kill_at: int = 0, moment: Moment = Moment.AFTER_THE_RESPONSE) -> int:
        """Do a step to its end, killing the operator at one of its writes; returns how many writes there were."""
        before, act, is_over = STEPS[step]
        self.operator.start()
        for earlier in before:
            earlier(self.kube, self.namespace)
            self._wait(STEPS["create"][2])
            self._wait_until_quiet()
        first = len(self.proxy.writes)
        if kill_at:
            self.proxy.kill_after(kill_at, moment, self._kill_and_start_again)
        act(self.kube, self.namespace)
        self._wait(is_over)
        self._wait_until_quiet()
        return len(self.proxy.writes) - first

    def _wait_until_quiet(self) -> None:
        """Up, and nothing was written for a tick and a half: what had to follow the status has followed."""
        self.operator.wait_until_up()
        written, since = len(self.proxy.writes), time.monotonic()
        while time.monotonic() - since < _QUIET_SECONDS:
            time.sleep(0.1)
            if len(self.proxy.writes) != written:
                written, since = len(self.proxy.writes), time.monotonic()

    def _kill_and_start_again(self) -> None:
        self.operator.kill()
        self.operator.start()

    def _wait(self, is_over: Callable[[Kube, str], bool]) -> None:
        wait_for(lambda: is_over(self.kube, self.namespace), 90, self._story)

    def _story(self) -> str:
        models = self.kube.find("Model", self.namespace)
        return "\n".join(map(story, models)) + self.operator.log[-2000:]


def play(kube: Kube, pods: FakePods, step: str, kill_at: int, moment: Moment) -> tuple[dict[str, Any], int]:
    """One run in a namespace of its own: the final objects, and how many writes there were."""
    with scratch_namespace(kube) as namespace, api_proxy(kube.login) as proxy:
        stage = Stage(kube, namespace, pods, proxy)
        try:
            writes = stage.play(step, kill_at, moment)
            return final_objects(kube, namespace), writes
        finally:
            stage.operator.remove()


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_after_any_write_changes_nothing_in_the_end(
    kube: Kube, pods: FakePods, step: str, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    wanted, writes = play(kube, pods, step, 0, Moment.AFTER_THE_RESPONSE)
    assert writes >= 3
    points = [(number, moment) for number in range(1, writes + 1) for moment in Moment]
    count = min(len(points), scale(1, _MOST_WRITES))
    chosen = [points[len(points) * (2 * number + 1) // (2 * count)] for number in range(count)]

    different = {}
    for number, moment in chosen:
        found, _ = play(kube, pods, step, number, moment)
        if lines := differences(wanted, found):
            different[f"{moment.value} the response to write {number}"] = lines

    figures(step=step, writes=writes, kill_points=len(chosen), different=len(different))
    assert different == {}
