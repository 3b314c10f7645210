"""Puts a service's OpenAPI document together."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from chatbot.api.characters.schemas import CharacterFields, PreviewRequest
from chatbot.api.documents.schemas import DocumentText, RagRequest
from chatbot.api.memory.schemas import NoteFields, PinsFields
from chatbot.api.openapi import components
from chatbot.api.openapi.operations import complete
from chatbot.api.profiles import Profile
from chatbot.api.shelves.schemas import PlaceFields, SearchFields, VectorStoreFields
from chatbot.api.v1.embeddings import EmbeddingsRequest
from chatbot.api.v1.schemas import ChatCompletionRequest

_TAGS = {
    "chat": "Ask a question. With `Accept: text/event-stream` the answer comes as it is made.",
    "sessions": "Messages of a session, with a role, notes, documents, tools; what is remembered of it.",
    "OpenAI wire format": "For clients of the OpenAI API: `base_url` is this service's address and `/v1`.",
    "conversations": "What is remembered of a user, to read and to erase; a note and facts that are always told.",
    "people": "All that is kept about a user, over all services: to fetch and to erase.",
    "documents": "Upload documents, watch them being read, ask questions that are answered from them.",
    "files and vector stores": "Documents and their collections in the OpenAI API's words.",
    "characters": "Cards of characters: import, keep, try and take them away. `character/<name>` is a model of `/v1`.",
    "operations": "What the service is and how it is doing.",
}
_BODIES = (
    ChatCompletionRequest,
    EmbeddingsRequest,
    DocumentText,
    RagRequest,
    CharacterFields,
    PreviewRequest,
    VectorStoreFields,
    PlaceFields,
    SearchFields,
    NoteFields,
    PinsFields,
)
_REF = "#/components/schemas/{model}"
_FRAMEWORK_SCHEMAS = ("HTTPValidationError", "ValidationError")


def document(app: FastAPI, profile: Profile) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service; `servers` is added by whoever knows the prefix."""
    described = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    for path in described["paths"].values():
        for operation in path.values():
            complete(operation, {"product": profile.request.__name__, "session": profile.session_request.__name__})
    own = (profile.request, profile.session_request)
    _, bodies = models_json_schema(
        [(one, "validation") for one in (*own, *_BODIES)],
        ref_template=_REF,
    )
    made = described.setdefault("components", {})
    schemas = {**made.get("schemas", {}), **bodies["$defs"], **components.SCHEMAS}
    made["schemas"] = {name: schemas[name] for name in sorted(schemas) if name not in _FRAMEWORK_SCHEMAS}
    made["responses"] = components.error_responses()
    made["headers"] = components.HEADERS
    made["securitySchemes"] = components.SECURITY_SCHEMES
    return described
