"""The committed OpenAPI files are what the services serve, whole, and what they do."""

import json
from pathlib import Path
from typing import Any

import pytest
from chatbot.api.errors import TABLE
from chatbot.api.not_found import ENDPOINTS
from chatbot.api.openapi.document import document
from chatbot.api.openapi.operations import OPERATIONS
from chatbot.api.profiles import CHARACTER, OFFICE, Profile
from chatbot.server.app import build_api
from chatbot.server.observe.label_values import ROUTES, SERVER_STATUSES, STATUSES

FILES = Path(__file__).parents[2] / "docs" / "openapi"
PROFILES = (OFFICE, CHARACTER)


def described(profile: Profile) -> dict[str, Any]:
    return document(build_api(profile), profile)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_committed_file_is_what_is_served(profile: Profile) -> None:
    committed = json.loads((FILES / f"{profile.name}.json").read_text())

    assert committed == json.loads(json.dumps(described(profile))), "run `make generate`"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_reference_leads_somewhere(profile: Profile) -> None:
    whole = described(profile)

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()

    for reference in references(whole):
        found: Any = whole
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_operation_and_status_is_told() -> None:
    paths = described(OFFICE)["paths"]
    operations = {one["operationId"]: one for path in paths.values() for one in path.values()}
    told = {int(status) for one in operations.values() for status in one["responses"]}
    routes = {path.replace("{model}", "{model:path}") for path in paths}

    assert set(operations) == set(OPERATIONS)
    assert {row.status for row in TABLE.values()} - told == {405}  # tells of a method, so no operation can
    assert routes == set(ROUTES) - {"other"}
    assert {str(row.status) for row in TABLE.values()} <= {*STATUSES, *SERVER_STATUSES}


def test_every_operation_stands_under_a_heading_that_says_what_it_is() -> None:
    whole = described(OFFICE)
    headings = [tag["name"] for tag in whole["tags"] if tag["description"]]

    used = [tag for path in whole["paths"].values() for one in path.values() for tag in one.get("tags", ["default"])]

    assert list(dict.fromkeys(used)) == headings


def test_the_404_page_lists_endpoints_that_exist() -> None:
    paths = described(OFFICE)["paths"]

    assert [(method, path) for method, path, _ in ENDPOINTS if method.lower() not in paths.get(path, {})] == []
