"""Characters on a real API server: cards, entries that pods cannot use, and what is refused at once."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from parts.kube_client import Document, Kube, Refused, wait_for
from parts.kube_cluster import operator_login
from parts.kube_objects import character, condition, consumer
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import FakePods
from parts.kube_policies import CHARACTERS

NABI = {"displayName": "나비", "description": "{{char}}는 고양이다.", "greetings": ["어서 와라냥."]}
CARD = {"spec": "chara_card_v2", "data": {"name": "Reed", "description": "An old captain.", "first_mes": "Ahoy."}}


def mounting(namespace: str) -> Document:
    """A Deployment that mounts the characters, on the fake nodes; it needs no Model."""
    document = consumer(namespace, "character", replicas=2)
    template = document["spec"]["template"]
    del template["spec"]["containers"][0]["resources"]
    for metadata in (document["metadata"], template["metadata"]):
        metadata["labels"] = {"app": "character", CHARACTERS.label: CHARACTERS.config_map}
    return document


def cards(namespace: str, **texts: str) -> Document:
    metadata = {"name": "cards", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts}


def told(kube: Kube, namespace: str, name: str, kind: str = "Ready") -> tuple[str, str]:
    found = condition(kube.get("Character", namespace, name), kind)
    return found.get("status", ""), found.get("reason", "")


def until(found: Callable[[], Any], wanted: Any) -> None:
    wait_for(lambda: found() == wanted, 60, lambda: f"{found()} instead of {wanted}")


@pytest.mark.timeout(300, func_only=True)
def test_characters_become_one_file_that_pods_play(kube: Kube, namespace: str, pods: FakePods) -> None:
    """Fields, a card, a change of each, one that pods cannot use, and the end of the last."""
    with running_operator(operator_login(kube, namespace), namespace, pods.url) as operator:
        kube.create(character(namespace, **NABI))
        until(lambda: told(kube, namespace, "nabi"), ("True", "NoConsumer"))
        kube.create(mounting(namespace))
        until(lambda: told(kube, namespace, "nabi"), ("True", "Applied"))
        first = kube.get("Character", namespace, "nabi")["status"]

        kube.create(character(namespace, "reed", cardFrom={"configMapKeyRef": {"name": "cards", "key": "reed.json"}}))
        until(lambda: told(kube, namespace, "reed"), ("False", "CardMissing"))
        kube.create(cards(namespace, **{"reed.json": json.dumps(CARD)}))
        until(lambda: told(kube, namespace, "reed"), ("True", "Applied"))
        english = kube.get("Character", namespace, "reed")["status"]
        changed = json.loads(json.dumps(CARD).replace("old captain", "{{strange}} captain"))
        kube.patch("ConfigMap", namespace, "cards", {"data": {"reed.json": json.dumps(changed)}})
        until(lambda: told(kube, namespace, "reed", "Complete"), ("False", "WithoutEffect"))

        kube.patch("Character", namespace, "nabi", {"spec": {"scenario": "서점"}})
        until(lambda: kube.get("Character", namespace, "nabi")["status"]["consumers"], [_character(2)])
        second = kube.get("Character", namespace, "nabi")["status"]
        nothing = json.dumps({"spec": "chara_card_v2", "data": {"name": "x" * 101, "description": "y"}})
        kube.patch("ConfigMap", namespace, "cards", {"data": {"reed.json": nothing}})
        until(lambda: told(kube, namespace, "reed"), ("False", "Rejected"))
        rejected = condition(kube.get("Character", namespace, "reed"), "Ready")["message"]

        _delete_all(kube, namespace)

        assert (first["language"], english["language"]) == ("ko", "en")
        assert first["tokens"] > 0 and len(first["revision"]) == 16 and first["consumers"] == [_character(1)]
        assert second["revision"] != first["revision"]
        assert "data.name" in rejected and "at most 100" in rejected
        assert '"level": "error"' not in operator.log and "Traceback" not in operator.log


def _delete_all(kube: Kube, namespace: str) -> None:
    for one in kube.find("Character", namespace):
        kube.delete("Character", namespace, one["metadata"]["name"])
    wait_for(lambda: not kube.find("Character", namespace), 30)  # no finalizer holds them
    until(lambda: _file(kube, namespace), '{"characters":[]}\n')


def _character(generation: int) -> Document:
    return {"kind": "Deployment", "name": "character", "generation": generation}


def _file(kube: Kube, namespace: str) -> str:
    return str(kube.get("ConfigMap", namespace, CHARACTERS.config_map)["data"][CHARACTERS.file])


def test_what_a_hand_changes_is_mended(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(character(namespace, **NABI))
    until(lambda: told(kube, namespace, "nabi"), ("True", "NoConsumer"))
    text = _file(kube, namespace)

    kube.patch("ConfigMap", namespace, CHARACTERS.config_map, {"data": {CHARACTERS.file: "characters: []"}})
    until(lambda: _file(kube, namespace), text)

    assert '"level": "error"' not in operator.log


_KEY = {"configMapKeyRef": {"name": "cards", "key": "a"}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "say it, or name a card in cardFrom"),
    ({"displayName": "a", "cardFrom": _KEY}, "one of them, not both"),
    ({"cardFrom": _KEY, "greetings": ["x"]}, "leave everything but tenants out beside it"),
    ({"cardFrom": {}}, "spec.cardFrom.configMapKeyRef"),
    ({"cardFrom": {"configMapKeyRef": {"name": "cards"}}}, "configMapKeyRef.key"),
    ({"displayName": ""}, "spec.displayName"),
    ({"displayName": "a" * 101}, "spec.displayName"),
    ({"displayName": "a", "tenants": []}, "spec.tenants"),
    ({"displayName": "a", "tenants": ["x", "x"]}, "Duplicate value"),
    ({"displayName": "a", "sampling": {"topP": 2}}, "spec.sampling.topP"),
    ({"displayName": "a", "sampling": {"temperature": "hot"}}, "spec.sampling.temperature"),
    ({"displayName": "a", "lorebook": {"entries": [{"keys": ["x"]}]}}, "spec.lorebook.entries[0].content"),
    ({"displayName": "a", "lorebook": {"entries": [{"content": "x", "keys": ["k"] * 21}]}}, "entries[0].keys"),
    ({"displayName": "a", "greetings": ["x"] * 51}, "spec.greetings"),
    ({"displayName": "a", "style": {"language": "fr"}}, "supported values"),
    ({"displayName": "a", "repair": {"mode": "Retry"}}, "supported values"),
    ({"displayName": "a", "speech": {"maxChars": 1}}, "spec.speech.maxChars"),
]


@pytest.mark.parametrize(("spec", "named"), REFUSED, ids=range(len(REFUSED)))
def test_the_api_server_refuses_what_makes_no_sense(
    kube: Kube, namespace: str, spec: dict[str, Any], named: str
) -> None:
    with pytest.raises(Refused) as refused:
        kube.create(character(namespace, **spec))

    assert refused.value.status == 422
    assert named in refused.value.message
