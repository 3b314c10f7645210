"""`response_format` of the OpenAI API: any text, any JSON object, or JSON of a schema."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import TextModel
from chatbot.api.v1.named_schemas import MAX_SCHEMA_BYTES, Name, Schema, schema_text
from chatbot.domain.generation import AnswerFormat


class JsonSchemaFormat(TextModel):
    """`json_schema`."""

    name: Name = Field(description="The schema's name.", json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"})
    answer_schema: Schema = Field(
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
        return AnswerFormat(schema_text(said.answer_schema), said.name, said.description or "", said.strict)
