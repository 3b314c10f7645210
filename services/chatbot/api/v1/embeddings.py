"""`POST /v1/embeddings`: vectors of texts, as the OpenAI API gives them."""

import base64
import json
import struct
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from chatbot.api.accounts.decisions import check_backend
from chatbot.api.accounts.flags import check_place
from chatbot.api.accounts.usage_noting import note_embedding
from chatbot.api.accounts.users import bound_user, caller_of, check_claim
from chatbot.api.schemas import LOCAL_ONLY, TextModel, UserId, count_unknown, validated
from chatbot.api.service import parts_of, profile_of
from chatbot.api.wire.context import context_of
from chatbot.api.wire.guard import read_object
from chatbot.core.embedding.clients import ClientEmbeddings, EmbeddingRequest
from chatbot.domain.embedding.source import Embedded, EmbeddingModel
from chatbot.domain.errors import EmbeddingUnavailable, InvalidInput, ModelNotFound
from chatbot.domain.generation import Backend

router = APIRouter(prefix="/v1", tags=["OpenAI wire format"])
MOST_TEXTS: Final = 2048
_Text = Annotated[str, StringConstraints(min_length=1)]


class EmbeddingsRequest(TextModel):
    """Texts to make vectors of. Tokens instead of texts are refused: another model has others."""

    model: str = Field(min_length=1, max_length=200)
    input: list[_Text] = Field(
        min_length=1,
        max_length=MOST_TEXTS,
        description=f"A text, or up to {MOST_TEXTS}.",
        examples=["연차는 며칠인가요?"],
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: little-endian float32, as the official clients ask for."
    )
    dimensions: int | None = Field(
        None, ge=1, le=8192, description="First numbers of a vector; where the model was trained for it."
    )
    user: UserId | None = None
    local_only: bool = LOCAL_ONLY

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        if isinstance(value, list) and value and all(isinstance(one, int | list) for one in value):
            raise PydanticCustomError("send_texts", "holds tokens")
        return [value] if isinstance(value, str) else value


@router.post("/embeddings", operation_id="createEmbedding", summary="Vectors of texts (OpenAI wire format)")
async def embeddings(request: Request) -> Response:
    """Vectors of length 1, in the order of the texts."""
    parts, profile, context = parts_of(request), profile_of(request), context_of(request.scope)
    body = await read_object(request.headers, request.receive, parts.limits.v1_body_bytes)
    asked = validated(EmbeddingsRequest, body)
    if unknown := count_unknown(EmbeddingsRequest, body):
        parts.telemetry.unknown_fields(profile.name, unknown)
    source = parts.embeddings
    model = _model_of(source, asked)
    if source is None or model is None:
        raise ModelNotFound
    context.backend = source.backend
    check_backend(context.principal, source.backend)
    check_place(source.backend, is_local_only=asked.local_only)
    dimensions = _dimensions(asked, model)
    check_claim(request, asked.user, "user")
    named = asked.user or bound_user(request) or context.principal.key_id or context.client
    try:
        made = await source.embed(EmbeddingRequest(context.work_id, caller_of(request, named), asked.input))
    except Exception as exc:
        note_embedding(request, model, 0, exc)
        raise
    note_embedding(request, model, made.tokens, None)
    return Response(_body(asked, made, dimensions), media_type="application/json")


def embedding_models(request: Request) -> list[dict[str, Any]]:
    """The model of `/v1/embeddings`, where there is one that the key is for, as `/v1/models` lists it."""
    source = parts_of(request).embeddings
    model = source.model() if source is not None else None
    if source is None or model is None:
        return []
    if not context_of(request.scope).principal.rights.allows_backend(str(source.backend)):
        return []
    owner = "local" if source.backend is Backend.LLAMA else "openai"
    return [{"id": model.name, "object": "model", "created": 0, "owned_by": owner}]


def _model_of(source: ClientEmbeddings | None, asked: EmbeddingsRequest) -> EmbeddingModel | None:
    """The model, where it is the one that was asked for.

    Raises:
        EmbeddingUnavailable: Nothing is known of it yet.
    """
    if source is None:
        return None
    model = source.model()
    if model is None:
        raise EmbeddingUnavailable("no embedding model is served yet")
    return model if model.name == asked.model else None


def _dimensions(asked: EmbeddingsRequest, model: EmbeddingModel) -> int:
    """How many numbers a vector shall have.

    Raises:
        InvalidInput: The model's vectors have not so many, or cannot be cut.
    """
    own = model.space.dimensions
    if asked.dimensions is None or asked.dimensions == own:
        return own
    if asked.dimensions > own or not model.may_shorten:
        raise InvalidInput("dimensions", "fixed_dimensions", dimensions=own)
    return asked.dimensions


def _body(asked: EmbeddingsRequest, made: Embedded, dimensions: int) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": _shown(one, dimensions, asked.encoding_format)}
        for index, one in enumerate(made.vectors)
    ]
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens}
    return json.dumps({"object": "list", "data": data, "model": asked.model, "usage": usage}).encode()


def _shown(vector: bytes | None, dimensions: int, form: str) -> str | list[float]:
    """A vector's first numbers, of length 1.

    Raises:
        EmbeddingUnavailable: The model gives none for the text.
    """
    if vector is None:
        raise EmbeddingUnavailable("the model gives no vector for a text")
    numbers = list(struct.unpack(f"<{dimensions}f", vector[: 4 * dimensions]))
    length = sum(number * number for number in numbers) ** 0.5 or 1.0
    numbers = [number / length for number in numbers]
    if form == "base64":
        return base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode()
    return numbers
