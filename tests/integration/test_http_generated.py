"""Requests made from the OpenAPI documents, valid and not: each answer is one that the document tells of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from chatbot.api.accounts.decisions import SHELF_OPERATIONS
from chatbot.api.openapi.operations import OPERATIONS
from hypothesis import HealthCheck, Phase, given, settings
from parts.stub_office import Stub, StubOffice, stub_office
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

FILES = Path(__file__).parents[2] / "docs" / "openapi"
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
UNAVAILABLE = {"askOpenAI"}  # no second backend is configured, so 503 is its only success
EXAMPLES = 25
FEW_EXAMPLES = 8
"""Of the many operations on files and stores, which both services have alike."""
CAN_BE_WRONG = [name for name, known in OPERATIONS.items() if known.body or known.parameters]
RUNS = [
    *((name, GenerationMode.POSITIVE) for name in OPERATIONS),
    *((name, GenerationMode.NEGATIVE) for name in CAN_BE_WRONG),
]


@pytest.fixture(scope="module", params=["office", "character"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubOffice]:
    stub = Stub(service=request.param, slots=64, pieces=2)
    folder = tmp_path_factory.mktemp("office")
    settings = {
        "CHATBOT_LOG_LEVEL": "warning",
        "CHATBOT_DOCUMENTS_STORE": "sqlite",
        "CHATBOT_DOCUMENTS_SQLITE_PATH": str(folder / "documents.sqlite3"),
    }
    with stub_office(folder, stub, settings) as running:
        yield running


@pytest.fixture
def document(office: StubOffice, request: pytest.FixtureRequest) -> Any:
    name = request.node.callspec.params["office"]
    return schemathesis.openapi.from_path(FILES / f"{name}.json")


@pytest.mark.parametrize(("operation_id", "mode"), RUNS)
def test_answers_as_the_document_says(
    operation_id: str, mode: GenerationMode, office: StubOffice, document: Any
) -> None:
    operation = document.find_operation_by_id(operation_id)
    examples = FEW_EXAMPLES if operation_id in SHELF_OPERATIONS else EXAMPLES
    checks = CHECKS if operation_id in UNAVAILABLE else [*CHECKS, not_a_server_error]
    with requests.Session() as session:
        session.trust_env = False

        @settings(
            max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=office.url, session=session, checks=checks)

        check()
