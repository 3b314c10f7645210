"""The Model resource: names, defaults, and rules that say what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[2] / "charts/chatbot-operator/files/models.chatbot.ai.yaml"
CRD: dict[str, Any] = yaml.safe_load(FILE.read_text())
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]["properties"]
CONDITIONS = {
    "Ready", "Available", "Downloaded", "Verified", "StorageReady", "RolledOut", "RolledBack", "SourceReachable",
}  # fmt: skip


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the tree with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


RULES = [(path, rule) for path, schema in schemas(SCHEMA) for rule in schema.get("x-kubernetes-validations", [])]


def test_names_are_the_agreed_ones() -> None:
    names = CRD["spec"]["names"]

    assert CRD["metadata"]["name"] == f"{names['plural']}.{CRD['spec']['group']}" == "models.chatbot.ai"
    assert names["kind"] == "Model"
    assert names["shortNames"] == ["mdl"]
    assert names["categories"] == ["chatbot"]
    assert CRD["spec"]["scope"] == "Namespaced"


def test_one_version_is_served_and_stored_with_a_status_of_its_own() -> None:
    assert [version["name"] for version in CRD["spec"]["versions"]] == ["v1alpha1"]
    assert VERSION["served"] and VERSION["storage"]
    assert VERSION["subresources"] == {"status": {}}


def test_columns_find_conditions_by_type() -> None:
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}

    always = ["Ready", "Available", "Phase", "Progress", "Revision", "Reason", "Age"]
    assert list(columns) == [*always, "Kind", "Last Good", "Message"]
    assert [column["name"] for column in VERSION["additionalPrinterColumns"] if column.get("priority")] == [
        "Kind",
        "Last Good",
        "Message",
    ]
    assert all(f'[?(@.type=="{kind}")].status' in columns[kind] for kind in ("Ready", "Available"))
    assert not any("[0]" in path for path in columns.values())


@pytest.mark.parametrize(("path", "rule"), RULES, ids=[f"{path}-{n}" for n, (path, _) in enumerate(RULES)])
def test_every_rule_says_what_is_wrong(path: str, rule: dict[str, str]) -> None:
    assert ": " in rule["message"], "begins with the field"
    assert not rule["message"].endswith("."), "Kubernetes joins it with others"


def test_the_promised_rules_are_there() -> None:
    text = " ".join(rule["message"] for _, rule in RULES)

    for promise in (
        "at most 40",
        "sha256: required",
        "size can grow",
        "one of the two",
        "never deleted",
        "split files",
    ):
        assert promise in text


@pytest.mark.parametrize(
    ("field", "bounds"),
    [("progressDeadlineSeconds", (120, 7200, 900)), ("soakSeconds", (0, 3600, 60))],
)
def test_clocks_have_bounds_and_defaults(field: str, bounds: tuple[int, int, int]) -> None:
    schema = SPEC["rollout"]["properties"][field]

    assert (schema["minimum"], schema["maximum"], schema["default"]) == bounds


def test_defaults_are_the_agreed_ones() -> None:
    rollout = SPEC["rollout"]["properties"]

    assert SPEC["revisionHistoryLimit"]["default"] == 2
    assert SPEC["storage"]["properties"]["deletionPolicy"]["default"] == "Retain"
    assert "default" not in SPEC["storage"]["properties"]["size"]
    assert "default" not in SPEC["storage"]["properties"]["storageClassName"], "absent and empty mean different things"
    assert SPEC["rollout"]["default"] == {}, "or the defaults inside would not be filled in"
    assert rollout["strategy"] == rollout["strategy"] | {
        "enum": ["RollingUpdate", "InPlace"],
        "default": "RollingUpdate",
    }
    assert rollout["autoRollback"]["default"] is True


def test_conditions_are_a_closed_list_merged_by_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]

    assert set(conditions["items"]["properties"]["type"]["enum"]) == CONDITIONS
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_everything_a_user_writes_is_described_and_bounded() -> None:
    undescribed = [path for path, schema in schemas(SCHEMA["properties"]["spec"]) if "description" not in schema]
    unbounded = [
        path
        for path, schema in schemas(SCHEMA["properties"]["spec"])
        if schema["type"] == "string" and not {"maxLength", "enum"} & set(schema)
    ]

    assert undescribed == [".source.secretRef.name"]
    assert unbounded == [], "CEL's cost is estimated from the bounds"
