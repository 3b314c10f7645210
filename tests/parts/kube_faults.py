"""The faults that a running cluster is given: the rows of docs/faults.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatbot_operator.reasons import Reason

from parts.kube_client import Document
from parts.kube_fault import Act, Fault
from parts.kube_site import Site
from parts.toy_gguf import make_crashing_toy, make_toy

_NOWHERE = "nowhere"


def _source(url: str, **more: Any) -> Act:
    def inject(site: Site, _folder: Path) -> None:
        site.change({"url": url, "sha256": "0" * 64, **more})

    return inject


def _file(make: Callable[[Path], object], sha256: str = "", **rollout: object) -> Act:
    def inject(site: Site, folder: Path) -> None:
        make(folder / "offered.gguf")
        source = site.offer(folder / "offered.gguf")
        site.change({**source, "sha256": sha256} if sha256 else source, **rollout)

    return inject


def _other_architecture(path: Path) -> None:
    path.write_bytes(make_toy(path, seed=5).read_bytes().replace(b"llama", b"llamx"))


def _too_large(path: Path) -> None:
    make_crashing_toy(path, n_layers=100_000)


def _cut(path: Path) -> None:
    path.write_bytes(make_toy(path, seed=6).read_bytes()[:100_000])


def _release(**values: Any) -> Act:
    """Another model in a release that is broken."""

    def inject(site: Site, folder: Path) -> None:
        site.put(**values)
        site.change(site.offer(make_toy(folder / "next.gguf", seed=7)))

    return inject


def _healed(*names: str) -> Act:
    def heal(site: Site, _folder: Path) -> None:
        site.take(*names)

    return heal


def _no_room(site: Site, folder: Path) -> None:
    site.put(office={**site.values()["office"], "resources": {"requests": {"cpu": "64"}}})
    site.change(site.offer(make_toy(folder / "next.gguf", seed=7)))


def _room_again(site: Site, _folder: Path) -> None:
    office = site.values()["office"]
    del office["resources"]
    site.put(office=office)


def _quota(site: Site, folder: Path) -> None:
    place = {"name": "pods", "namespace": "chatbot"}
    site.node.kube.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": place, "spec": {"hard": {"pods": "1"}}}
    )
    site.change(site.offer(make_toy(folder / "next.gguf", seed=8)))


def _no_quota(site: Site, _folder: Path) -> None:
    site.node.kube.delete("ResourceQuota", "chatbot", "pods")


def _less_rights(site: Site, folder: Path) -> None:
    roles = site.node.kube.find("Role", "chatbot")
    role = next(one for one in roles if one["metadata"]["name"].startswith("chatbot-operator"))
    rules = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch" or "deployments" not in rule["resources"]]}
        for rule in role["rules"]
    ]
    (folder / "role.json").write_text(_as_json(role))
    site.node.kube.patch("Role", "chatbot", role["metadata"]["name"], {"rules": rules})
    site.change(site.offer(make_toy(folder / "next.gguf", seed=9)))


def _rights_again(site: Site, folder: Path) -> None:
    site.node.say(f"kubectl replace -f {folder / 'role.json'}")


def _as_json(role: Document) -> str:
    metadata = {
        key: role["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in role["metadata"]
    }
    return json.dumps({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", **role, "metadata": metadata})


def _another(**storage: str) -> Act:
    def inject(site: Site, _folder: Path) -> None:
        source = {"url": "hf://tests/models/other.gguf", "sha256": "0" * 64}
        place = {"name": "other", "namespace": "chatbot"}
        head = {"apiVersion": "chatbot.ai/v1alpha1", "kind": "Model", "metadata": place}
        site.node.kube.create({**head, "spec": {"source": source, "storage": storage}})

    return inject


def _no_other(site: Site, _folder: Path) -> None:
    site.node.kube.delete("Model", "chatbot", "other")
    site.node.say("kubectl delete pvc model-other -n chatbot --ignore-not-found --wait=false")


FAULTS = [
    Fault("the model computes NaN", _file(lambda p: make_toy(p, seed=2, nan=True)), "RolledBack", Reason.SMOKE_NAN),
    Fault("no such file at the source (404)", _source("hf://status/404/x.gguf"), "Downloaded", Reason.NOT_FOUND),
    Fault(
        "the image cannot be pulled",
        _release(image={"tag": _NOWHERE, "pullPolicy": "Never"}),
        "RolledOut",
        Reason.IMAGE_PULL,
        heal=_healed("image"),
    ),
    Fault("the source wants a token (401)", _source("hf://status/401/x.gguf"), "Downloaded", Reason.UNAUTHORIZED),
    Fault("the licence is not accepted (403)", _source("hf://status/403/x.gguf"), "Downloaded", Reason.UNAUTHORIZED),
    Fault("the source answers with 500", _source("hf://status/500/x.gguf"), "SourceReachable", Reason.SERVER_ERROR),
    Fault(
        "the host's name does not resolve",
        _source("https://nowhere.invalid/x.gguf"),
        "SourceReachable",
        Reason.UNREACHABLE,
    ),
    Fault(
        "an address inside the cluster", _source("https://10.96.0.1/x.gguf"), "Downloaded", Reason.SOURCE_NOT_ALLOWED
    ),
    Fault("the source stops sending", _source("hf://stall/x/x.gguf"), "SourceReachable", Reason.STALLED, seconds=300),
    Fault("the file is larger than the volume", _source("hf://huge/x/x.gguf"), "Downloaded", Reason.NO_SPACE),
    Fault(
        "another file than the sum names",
        _file(lambda p: make_toy(p, seed=3), "1" * 64),
        "Verified",
        Reason.CHECKSUM_MISMATCH,
    ),
    Fault(
        "a page instead of a model", _file(lambda p: p.write_text("<html>no</html>" * 999)), "Verified", Reason.NOT_GGUF
    ),
    Fault("half a model", _file(_cut), "Verified", Reason.NOT_GGUF),
    Fault(
        "an embedding model in the place of one that chats",
        _file(lambda p: make_toy(p, seed=12, pooling=3)),
        "Verified",
        Reason.WRONG_KIND,
    ),
    Fault(
        "the Secret with the token is missing",
        _source("hf://tests/models/x.gguf", secretRef={"name": _NOWHERE}),
        "Downloaded",
        Reason.SECRET_MISSING,
    ),
    Fault("the model says nothing", _file(lambda p: make_toy(p, seed=4, mute=True)), "RolledBack", Reason.SMOKE_EMPTY),
    Fault("the engine dies while it loads the model", _file(make_crashing_toy), "RolledBack", Reason.ENGINE_CRASHED),
    Fault("a model larger than the pod's memory", _file(_too_large), "RolledBack", Reason.OUT_OF_MEMORY),
    Fault("an unknown architecture", _file(_other_architecture), "RolledBack", Reason.LOAD_FAILED),
    Fault(
        "slower than minTokensPerSecond",
        _file(lambda p: make_toy(p, seed=11), minTokensPerSecond=100_000),
        "RolledBack",
        Reason.TOO_SLOW,
        heal=lambda site, _: site.rollout(minTokensPerSecond=0),
        seconds=240,
    ),
    Fault("no node has room", _no_room, "RolledOut", Reason.UNSCHEDULABLE, heal=_room_again),
    Fault(
        "a volume of the pods is missing",
        _release(caBundleConfigMap=_NOWHERE),
        "RolledOut",
        Reason.MOUNT_FAILED,
        heal=_healed("caBundleConfigMap"),
        seconds=240,
    ),
    Fault("the quota is used up", _quota, "Downloaded", Reason.QUOTA_EXCEEDED, heal=_no_quota, seconds=180),
    Fault("a right of the operator is missing", _less_rights, "RolledOut", Reason.MISSING_RIGHT, heal=_rights_again),
    Fault(
        "no storage class, and no default",
        _another(size="1Gi"),
        "StorageReady",
        Reason.NO_STORAGE_CLASS,
        "other",
        _no_other,
    ),
    Fault(
        "no volume of the class",
        _another(size="1Gi", storageClassName=_NOWHERE),
        "StorageReady",
        Reason.CLAIM_PENDING,
        "other",
        _no_other,
    ),
    Fault("no such claim", _another(existingClaim=_NOWHERE), "StorageReady", Reason.NO_SUCH_CLAIM, "other", _no_other),
]
