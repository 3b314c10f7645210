"""`response_format` of the OpenAI API: any text, any JSON object, or JSON of a schema."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import TextModel
from chatbot.domain.generation import AnswerFormat

MAX_SCHEMA_BYTES = 32 * 1024
MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise PydanticCustomError("bad_format_name", "is no name", {"maximum": MAX_NAME_CHARACTERS})
    return value


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(_text(value).encode()) > MAX_SCHEMA_BYTES:
        raise PydanticCustomError("too_many_bytes", "is too large", {"maximum": MAX_SCHEMA_BYTES})
    return value


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


class JsonSchemaFormat(TextModel):
    """`json_schema`."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        description="The schema's name.", json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"}
    )
    answer_schema: Annotated[dict[str, Any], AfterValidator(_bounded)] = Field(
        alias="schema",
        description=f"JSON Schema of at most {MAX_SCHEMA_BYTES} bytes; what answers cannot be held to is refused.",
    )
    strict: bool | None = Field(None, description="The local model always keeps to the schema.")
    description: str | None = Field(None, max_length=1_024)


class ResponseFormat(TextModel):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = Field(None, validate_default=True)

    @field_validator("json_schema", mode="after")
    @classmethod
    def _given(cls, value: JsonSchemaFormat | None, info: ValidationInfo) -> JsonSchemaFormat | None:
        if value is None and info.data.get("type") == "json_schema":
            raise PydanticCustomError("missing", "is required")
        return value

    def answer_format(self) -> AnswerFormat | None:
        """What the answer must be; None where it may be any text."""
        if self.type == "text":
            return None
        if self.type == "json_object" or self.json_schema is None:
            return AnswerFormat()
        said = self.json_schema
        return AnswerFormat(_text(said.answer_schema), said.name, said.description or "", said.strict)
