"""Wrong and hostile specs are refused by the API server itself, with a message that says what to write instead."""

from collections.abc import Iterator
from typing import Any

import pytest
from parts.kube_client import Document, Kube, Refused, wait_for
from parts.kube_cluster import scratch_namespace
from parts.kube_objects import model


@pytest.fixture(scope="module")
def place(kube: Kube) -> Iterator[str]:
    with scratch_namespace(kube) as name:
        yield name


def url(text: str) -> Document:
    return {"source": {"url": text}}


SPLIT = "hf://owner/repository/model-00001-of-00002.gguf"
TABLE: list[tuple[str, Document, str]] = [
    ("plain http", url("http://models.test/a.gguf"), "starts with hf://, https:// or pvc://"),
    ("file", url("file:///etc/passwd"), "starts with hf://, https:// or pvc://"),
    ("shell", url("$(id)"), "starts with hf://, https:// or pvc://"),
    ("upper-case scheme", url("HTTPS://models.test/a.gguf"), "starts with hf://, https:// or pvc://"),
    ("leading blank", url(" https://models.test/a.gguf"), "starts with hf://, https:// or pvc://"),
    ("empty", url(""), "at least 1 chars long"),
    ("too long", url("https://models.test/" + "a" * 2048), "may not be more than 2048"),
    ("password", url("https://user:secret@models.test/a.gguf"), "credentials belong into secretRef"),
    ("user", url("https://user@models.test/a.gguf"), "credentials belong into secretRef"),
    ("no path", url("https://models.test"), "https://host/path"),
    ("line break", url("https://models.test/a.gguf\nHost: x"), "https://host/path"),
    ("hub without file", url("hf://owner/repository"), "hf://owner/repository/path/file.gguf"),
    ("hub, other file", url("hf://owner/repository/model.bin"), "hf://owner/repository/path/file.gguf"),
    ("hub, query", url("hf://owner/repository/model.gguf?x=1"), "hf://owner/repository/path/file.gguf"),
    ("split file", url(SPLIT), "split files"),
    ("split file, web", url("https://models.test/a-00002-of-00004.gguf"), "split files"),
    ("claim upwards", url("pvc://claim/../../etc/passwd.gguf"), "a path inside the claim"),
    ("claim, bad name", url("pvc://Claim_1/model.gguf"), "pvc://claim/path/file.gguf"),
    ("no sum", {"source": {"sha256": None}}, "sha256: required"),
    ("sum upper-case", {"source": {"sha256": "A" * 64}}, "64 lower-case hex digits"),
    ("sum short", {"source": {"sha256": "a" * 63}}, "64 lower-case hex digits"),
    ("no size", {"storage": {"size": None}}, "set size for a new claim"),
    ("size and claim", {"storage": {"existingClaim": "c", "storageClassName": None}}, "one of the two"),
    ("class of a claim", {"storage": {"existingClaim": "c", "size": None}}, "leave storageClassName out"),
    (
        "delete a claim",
        {"storage": {"existingClaim": "c", "size": None, "storageClassName": None, "deletionPolicy": "Delete"}},
        "deletionPolicy must be Retain",
    ),
    ("size no number", {"storage": {"size": "much"}}, "a quantity above zero"),
    ("size zero", {"storage": {"size": "0"}}, "a quantity above zero"),
    ("size negative", {"storage": {"size": "-1Gi"}}, "a quantity above zero"),
    ("access mode", {"storage": {"accessMode": "ReadOnlyMany"}}, "supported values"),
    ("strategy", {"rollout": {"strategy": "Recreate"}}, "supported values"),
    ("deadline short", {"rollout": {"progressDeadlineSeconds": 119}}, "greater than or equal to 120"),
    ("deadline long", {"rollout": {"progressDeadlineSeconds": 7201}}, "less than or equal to 7200"),
    ("soak long", {"rollout": {"soakSeconds": 3601}}, "less than or equal to 3600"),
    ("soak negative", {"rollout": {"soakSeconds": -1}}, "greater than or equal to 0"),
    ("speed negative", {"rollout": {"minTokensPerSecond": -1}}, "greater than or equal to 0"),
    ("history long", {"revisionHistoryLimit": 11}, "less than or equal to 10"),
    ("history text", {"revisionHistoryLimit": "2"}, "must be of type integer"),
    ("secret name", {"source": {"secretRef": {"name": ""}}}, "at least 1 chars long"),
]


def spec_with(namespace: str, changes: Document) -> Document:
    """A Model with changes; None takes a field away."""
    document = model(namespace, "refused", **changes)
    for section in ("source", "storage"):
        fields = document["spec"][section]
        document["spec"][section] = {name: value for name, value in fields.items() if value is not None}
    return document


@pytest.mark.parametrize(("changes", "message"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_wrong_spec_is_refused_with_the_remedy(kube: Kube, place: str, changes: Document, message: str) -> None:
    with pytest.raises(Refused) as refused:
        kube.create(spec_with(place, changes))

    assert refused.value.status == 422
    assert message in refused.value.message
    assert "secret@" not in refused.value.message


def test_a_name_that_is_too_long_is_refused(kube: Kube, place: str) -> None:
    with pytest.raises(Refused, match="at most 40 characters"):
        kube.create(model(place, "a" * 41))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "512Mi"}, "can grow, not shrink"),
        ({"accessMode": "ReadWriteMany"}, "accessMode cannot change"),
        ({"storageClassName": "other"}, "storageClassName cannot change"),
        ({"storageClassName": None}, "storageClassName cannot change"),
        ({"size": None, "existingClaim": "c", "storageClassName": None}, "existingClaim cannot change"),
    ],
)
def test_storage_does_not_change_but_to_grow(kube: Kube, place: str, change: dict[str, Any], message: str) -> None:
    name = "fixed"
    if not kube.is_there("Model", place, name):
        kube.create(model(place, name))

    with pytest.raises(Refused) as refused:
        kube.patch("Model", place, name, {"spec": {"storage": change}})

    assert message in refused.value.message
    kube.patch("Model", place, name, {"spec": {"storage": {"size": "2Gi", "deletionPolicy": "Delete"}}})
    kube.delete("Model", place, name)
    wait_for(lambda: not kube.is_there("Model", place, name))


def test_a_kind_is_one_of_two_and_stays(kube: Kube, place: str) -> None:
    created = kube.create(model(place, "kind"))

    with pytest.raises(Refused, match="kind: cannot change; make a new Model"):
        kube.patch("Model", place, "kind", {"spec": {"kind": "Embedding"}})
    with pytest.raises(Refused, match="supported values"):
        kube.create(model(place, "other") | {"spec": {**created["spec"], "kind": "Reranking"}})
    assert created["spec"]["kind"] == "Chat"


def test_defaults_are_filled_in_and_unknown_fields_dropped(kube: Kube, place: str) -> None:
    created = kube.create(model(place, "defaults", rollout={}, nonsense=True))

    assert created["spec"]["rollout"]["autoRollback"] is True
    assert created["spec"]["rollout"]["strategy"] == "RollingUpdate"
    assert created["spec"]["storage"]["deletionPolicy"] == "Retain"
    assert created["spec"]["revisionHistoryLimit"] == 2
    assert "nonsense" not in created["spec"]


def test_a_spec_never_writes_the_status(kube: Kube, place: str) -> None:
    created = kube.create(model(place, "forged") | {"status": {"revision": "f" * 16}})

    assert "status" not in created
