"""The OpenAPI document of the administrators' app."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chatbot.api.admin.app import build_admin
from chatbot.api.admin.schemas import LimitFields, NewKeyFields, RotateFields
from chatbot.api.openapi import components
from chatbot.domain.access import Scope

_BODIES: Final[Mapping[str, type[BaseModel]]] = {
    "createKey": NewKeyFields,
    "rotateKey": RotateFields,
    "limitKey": LimitFields,
}
_ERRORS: Final = (401, 403, 503)
_BODY_ERRORS: Final = (400, 413, 422)
_REF: Final = "#/components/schemas/{model}"


def admin_document() -> dict[str, Any]:
    """OpenAPI 3.1; `servers` is up to whoever forwards a port."""
    app = build_admin()
    described = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for path, methods in described["paths"].items():
        for operation in methods.values():
            _complete(operation, path)
    _, bodies = models_json_schema([(one, "validation") for one in _BODIES.values()], ref_template=_REF)
    made = described["components"]
    schemas = {**made["schemas"], **bodies["$defs"], "Problem": components.SCHEMAS["Problem"]}
    made["schemas"] = {name: schemas[name] for name in sorted(schemas) if "ValidationError" not in name}
    made["securitySchemes"] = {"key": components.SECURITY_SCHEMES["key"]}
    return described


def _complete(operation: dict[str, Any], path: str) -> None:
    body = _BODIES.get(operation["operationId"])
    statuses = [*_ERRORS, *((404,) if "{key_id}" in path else ()), *(_BODY_ERRORS if body else ())]
    answers = {status: answer for status, answer in operation["responses"].items() if status != "422"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in sorted(statuses):
        answers[str(status)] = {"description": _DESCRIPTIONS[status], "content": problem}
    operation["responses"] = answers
    operation["security"] = [{"key": [str(Scope.ADMIN)]}]
    if body is not None:
        schema = {"$ref": _REF.format(model=body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}


_DESCRIPTIONS: Final = {
    400: "Not JSON as RFC 8259 has it.",
    401: "No valid key.",
    403: "Not a key of an administrator, or not from here.",
    404: "No such key, or it was revoked or rotated before.",
    413: "Too large.",
    422: "A field is wrong; it is named.",
    503: "The key store does not answer.",
}
