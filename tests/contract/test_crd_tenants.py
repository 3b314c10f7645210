"""The Tenant resource: names, rules that say what to do, and the same words as the services and the chart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chatbot.adapters.tenants.file import parse
from chatbot.domain.tenants.reading import FIELDS, SERVICES, limit_names, read_policies
from chatbot_operator import names
from chatbot_operator.compiled.bundle import Source, compiled
from chatbot_operator.compiled.reasons import READY
from chatbot_operator.tenants.bundle import TENANTS
from chatbot_operator.tenants.reasons import LIMITS_CONSISTENT

ROOT = Path(__file__).parents[2]
CRD: dict[str, Any] = yaml.safe_load((ROOT / "charts/chatbot-operator/files/tenants.chatbot.ai.yaml").read_text())
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]["properties"]
DEPLOYMENT = ROOT / "charts/chatbot/templates/services/deployment.yaml"


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the tree with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


RULES = [(path, rule) for path, schema in schemas(SCHEMA) for rule in schema.get("x-kubernetes-validations", [])]


def test_names_are_the_agreed_ones() -> None:
    found = CRD["spec"]["names"]

    assert CRD["metadata"]["name"] == f"{found['plural']}.{CRD['spec']['group']}" == f"{names.TENANTS}.{names.GROUP}"
    assert (found["kind"], found["shortNames"], found["categories"]) == ("Tenant", ["tnt"], ["chatbot"])
    assert CRD["spec"]["scope"] == "Namespaced"
    assert VERSION["subresources"] == {"status": {}}


def test_the_fields_are_those_that_services_read() -> None:
    assert {"name", "generation", "uid", *SPEC} == set(FIELDS)
    assert SPEC["services"]["items"]["enum"] == list(SERVICES)
    for subject in ("tenant", "perKey", "perUser"):
        assert set(SPEC["limits"]["properties"][subject]["properties"]) == set(limit_names())
    assert SPEC["shadowLimits"]["properties"] == SPEC["limits"]["properties"]


@pytest.mark.parametrize(("path", "rule"), RULES, ids=[f"{path}-{n}" for n, (path, _) in enumerate(RULES)])
def test_every_rule_says_what_is_wrong(path: str, rule: dict[str, str]) -> None:
    assert ": " in rule["message"], "begins with the field"
    assert not rule["message"].endswith("."), "Kubernetes joins it with others"


def test_every_text_is_bounded() -> None:
    """The cost of a rule is estimated from the bounds."""
    unbounded = [
        path
        for path, schema in schemas(SCHEMA["properties"]["spec"])
        if schema["type"] == "string" and not {"maxLength", "enum"} & set(schema)
    ]

    assert unbounded == []


def test_conditions_are_a_closed_list_merged_by_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}

    assert conditions["items"]["properties"]["type"]["enum"] == [READY, LIMITS_CONSISTENT]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert list(columns) == ["Ready", "Suspended", "Limits", "Reason", "Age", "Message"]
    assert not any("[0]" in path for path in columns.values())


def test_samples_and_the_page_are_policies_that_services_read() -> None:
    documents = list(yaml.safe_load_all((ROOT / "manifests/tenants.yaml").read_text()))
    sources = [
        Source("chatbot", one["metadata"]["name"], "u", 1, "1", {"suspended": False, **one["spec"]}, {})
        for one in documents
    ]
    page = (ROOT / "docs/operations.md").read_text().split("<!-- tenants: begin -->")[1].split("```yaml")[1]

    (written,) = read_policies(yaml.safe_load(page.split("```")[0]))
    applied = {tenant.name: tenant for tenant in parse(compiled(TENANTS, sources).encode())}

    assert set(applied) == {"default", "team-a", "left-us"}
    assert (applied["team-a"].limits, applied["team-a"].longest_key_seconds) == (
        written.limits,
        written.longest_key_seconds,
    )
    assert applied["left-us"].is_suspended


def test_the_chart_mounts_what_the_operator_writes() -> None:
    values = yaml.safe_load((ROOT / "charts/chatbot/values.yaml").read_text())
    label, _, config_map = TENANTS.consumers.partition("=")

    assert values["tenants"]["configMap"] == config_map == TENANTS.config_map
    assert DEPLOYMENT.read_text().count(f"{label}: {{{{ . }}}}") == 2, "on the Deployment and on its pods"
