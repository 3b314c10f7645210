"""The Character resource: the fields that the API takes, the same in the domain, the services and the chart."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot.adapters.mounted.text import values
from chatbot.api.characters.objects import ObjectWords, object_name
from chatbot.core.characters.curation.entries import OWN_FIELDS, EntryReader
from chatbot.domain.characters import Character
from chatbot.domain.curation.curated import Curation
from chatbot_operator import names
from chatbot_operator.characters.bundle import CHARACTERS
from chatbot_operator.characters.reasons import COMPLETE
from chatbot_operator.compiled.bundle import CARD_FROM, Source, compiled
from chatbot_operator.compiled.reasons import READY
from parts.helm import CHOSEN, Helm

ROOT = Path(__file__).parents[2]
CRD: dict[str, Any] = yaml.safe_load((ROOT / "charts/chatbot-operator/files/characters.chatbot.ai.yaml").read_text())
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]
OWN = {"tenants", CARD_FROM}
"""Fields of a spec that are none of the character itself."""


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the tree with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


def fields_of(kind: Any, path: str = "") -> Iterator[str]:
    """The paths that a type of the domain has, in the words of the resource."""
    if isinstance(kind, types.UnionType):
        for one in typing.get_args(kind):
            yield from fields_of(one, path)
    elif typing.get_origin(kind) is tuple:
        yield from fields_of(typing.get_args(kind)[0], f"{path}[]" if path else path)
    elif dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            inner = f"{path}.{object_name(field.name)}"
            yield inner
            yield from fields_of(hints[field.name], inner)


def read(text: str) -> Curation:
    reader = EntryReader(ObjectWords(), lambda: datetime(2026, 11, 21, tzinfo=UTC))
    return reader.read(values(text.encode()), Curation())


def test_names_are_the_agreed_ones() -> None:
    found = CRD["spec"]["names"]

    assert CRD["metadata"]["name"] == f"{found['plural']}.{CRD['spec']['group']}" == f"{names.CHARACTERS}.{names.GROUP}"
    assert (found["kind"], found["shortNames"], found["categories"]) == ("Character", ["chr"], ["chatbot"])
    assert CRD["spec"]["scope"] == "Namespaced"
    assert VERSION["subresources"] == {"status": {}}


def test_the_fields_are_those_of_the_domain() -> None:
    """All of them, at every depth: what is added to characters can be applied."""
    mine = {path for path, _ in schemas({**SPEC, "properties": {k: v for k, v in SPEC["properties"].items()
                                                                if k not in OWN}})}  # fmt: skip

    assert {path.replace("[]", "") for path in mine} - {""} == {path.replace("[]", "") for path in fields_of(Character)}
    assert OWN - {CARD_FROM} < set(OWN_FIELDS)


def test_every_schema_is_structural() -> None:
    """One type each, no references, no choices and no defaults: what the API server takes, and has() can tell."""
    allowed = {
        "type", "description", "enum", "format", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
        "minItems", "maxItems", "pattern", "items", "properties", "required", "x-kubernetes-validations",
        "x-kubernetes-list-type",
    }  # fmt: skip
    for path, schema in schemas(SPEC):
        assert isinstance(schema["type"], str), path
        assert set(schema) <= allowed, path


def test_every_text_and_list_is_bounded() -> None:
    unbounded = [
        path
        for path, schema in schemas(SPEC)
        if (schema["type"] == "string" and not {"maxLength", "enum"} & set(schema))
        or (schema["type"] == "array" and "maxItems" not in schema)
    ]

    assert unbounded == []


def test_conditions_are_a_closed_list_merged_by_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}

    assert conditions["items"]["properties"]["type"]["enum"] == [READY, COMPLETE]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert list(columns) == ["Ready", "Language", "Tokens", "Revision", "Reason", "Age", "Message"]
    assert not any("[0]" in path for path in columns.values())


def test_samples_are_characters_that_services_play() -> None:
    documents = list(yaml.safe_load_all((ROOT / "manifests/characters.yaml").read_text()))
    cards = next(one["data"] for one in documents if one["kind"] == "ConfigMap")
    sources = [
        Source("chatbot", one["metadata"]["name"], f"uid-{one['metadata']['name']}", 1, "1", one["spec"], {},
               card=yaml.safe_load(cards["captain.json"]) if CARD_FROM in one["spec"] else None)
        for one in documents
        if one["kind"] == "Character"
    ]  # fmt: skip

    played = read(compiled(CHARACTERS, sources))

    assert played.problems == {}
    assert {name: (one.language, one.notes) for name, one in played.characters.items()} == {
        "nabi": ("ko", ()),
        "captain": ("en", ()),
    }
    assert played.find("team-a", "captain") and not played.find("team-b", "captain")


@pytest.mark.parametrize("text", ["", "characters: []", '{"characters":[]}'])
def test_an_empty_file_has_no_characters(text: str) -> None:
    assert read(text) == Curation()
    assert compiled(CHARACTERS, []) == '{"characters":[]}\n'


@pytest.mark.parametrize("name", [CHARACTERS.config_map, "mine", ""])
def test_the_chart_mounts_them_into_the_service_that_plays_and_no_other(helm: Helm, name: str) -> None:
    deployments = {
        one["metadata"]["name"]: one
        for one in helm.render("chatbot", sets=[*CHOSEN, f"characters.configMap={name}"])
        if one["kind"] == "Deployment"
    }
    seen = {}
    for deployment, document in deployments.items():
        pod = document["spec"]["template"]
        mounts = {one["name"]: one["mountPath"] for one in pod["spec"]["containers"][0].get("volumeMounts", ())}
        volumes = {one["name"]: one.get("configMap") for one in pod["spec"].get("volumes", ())}
        variables = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0].get("env", ())}
        labels = [metadata["labels"].get(CHARACTERS.label) for metadata in (document["metadata"], pod["metadata"])]
        seen[deployment] = (labels, volumes.get("characters"), variables.get(CHARACTERS.setting))
        assert bool(volumes.get("characters")) == ("characters" in mounts)
        if "characters" in mounts:
            assert str(variables[CHARACTERS.setting]) == f"{mounts['characters']}/{CHARACTERS.file}"

    nothing = ([None, None], None, None)
    assert {deployment for deployment, found in seen.items() if found != nothing} == (
        {"chatbot-character"} if name else set()
    )
    if name:
        labels, volume, _ = seen["chatbot-character"]
        assert (labels, volume) == ([name, name], {"name": name, "optional": True})


def test_the_chart_names_what_the_operator_writes() -> None:
    chosen = yaml.safe_load((ROOT / "charts/chatbot/values.yaml").read_text())
    _, _, config_map = CHARACTERS.consumers.partition("=")

    assert chosen["characters"]["configMap"] == config_map == CHARACTERS.config_map
