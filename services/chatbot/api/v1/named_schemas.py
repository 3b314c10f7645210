"""What formats and tools of the OpenAI API have in common: a name and a JSON Schema, both bounded."""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MAX_SCHEMA_BYTES = 32 * 1024
MAX_NAME_CHARACTERS = 64
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _named(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise PydanticCustomError("bad_format_name", "is no name", {"maximum": MAX_NAME_CHARACTERS})
    return value


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(schema_text(value).encode()) > MAX_SCHEMA_BYTES:
        raise PydanticCustomError("too_many_bytes", "is too large", {"maximum": MAX_SCHEMA_BYTES})
    return value


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as the JSON text that its bounds are about and that backends are given."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


Name = Annotated[str, AfterValidator(_named)]
"""Of a schema or of a function."""

Schema = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""A JSON Schema of at most `MAX_SCHEMA_BYTES`."""
