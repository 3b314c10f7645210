"""What the product's endpoints take: fields, bounds, examples; and from a body to an error that names the field.

Text is brought to NFC before its code points are counted, as OpenAPI's `maxLength` counts them, so that decomposed
Hangul is not punished.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from chatbot.api.style.fields import SPEECH, SpeechFields
from chatbot.api.tools.confirming import CONFIRM, ConfirmedIds
from chatbot.core.characters.casting import Wanted, is_name
from chatbot.domain.errors import InvalidInput

DB_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
TURN_ID_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
MAX_USER_ID_CHARACTERS = 128
ToolName = Annotated[str, Field(max_length=64)]
_DB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TURN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_db_id(value: str, field: str = "db_id") -> str:
    """A conversation's name.

    Raises:
        InvalidInput: It has characters that it must not have.
    """
    if not _DB_ID.fullmatch(value):
        raise InvalidInput(field, "bad_name", maximum=64)
    return value


def check_turn_id(value: str) -> str:
    """An `Idempotency-Key`.

    Raises:
        InvalidInput: It has characters that it must not have.
    """
    if not _TURN_ID.fullmatch(value):
        raise InvalidInput("Idempotency-Key", "bad_name", maximum=64)
    return value


def check_user_id(value: str, field: str = "user_id") -> str:
    """A user's name inside the tenant, brought to NFC.

    Raises:
        InvalidInput: It is empty, too long or not printable.
    """
    value = unicodedata.normalize("NFC", value)
    if not value:
        raise InvalidInput(field, "too_short", minimum=1)
    if len(value) > MAX_USER_ID_CHARACTERS:
        raise InvalidInput(field, "too_long", maximum=MAX_USER_ID_CHARACTERS)
    if not value.isprintable():
        raise InvalidInput(field, "not_printable")
    return value


class TextModel(BaseModel):
    """Fields of text are brought to NFC before anything is checked, and have no control characters."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _to_nfc(cls, value: object) -> object:
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value

    @field_validator("*", mode="after")
    @classmethod
    def _without_controls(cls, value: object) -> object:
        if isinstance(value, str) and _CONTROL.search(value):
            raise PydanticCustomError("control_characters", "has control characters")
        return value


def printable(value: str) -> str:
    """Refuse what would break a line or a screen; for `AfterValidator`."""
    if not value.isprintable():
        raise PydanticCustomError("not_printable", "is not printable")
    return value


UserId = Annotated[str, Field(min_length=1, max_length=MAX_USER_ID_CHARACTERS), AfterValidator(printable)]


GREETING_INDEX: Final = Field(0, ge=0, lt=50, description="Which greeting of a stored character is its first words.")
USER_NAME: Final = Field("", max_length=100, description="How a stored character calls the user (`{{user}}`).")
UPGRADE: Final = Field(
    False, description="Go on with the newest revision of a stored character, not with that of the conversation."
)
LOCAL_ONLY: Final = Field(False, description="Refuse a model elsewhere. Not in the OpenAI API.")
STORE: Final = Field(
    True, description="False: the turn is kept nowhere; only numbers of use are. What was kept before is still told."
)
NO_MEMORY: Final = Field(False, description="Tell the model nothing of what was said before in the conversation.")


class ChatRequest(TextModel):
    """What both services take."""

    input_data: str = Field(min_length=1, max_length=500, description="The question.", examples=["안녕하세요!"])
    user_id: UserId = Field(description="Who asks; printable characters.", examples=["test_user"])
    db_id: str | None = Field(
        None,
        pattern=DB_ID_PATTERN,
        description="Conversation to continue or start. Absent: a single question without history.",
    )
    local_only: bool = Field(False, description="Never leave the local model; holds for the whole conversation.")
    store: bool = STORE
    no_memory: bool = NO_MEMORY
    speech: SpeechFields | None = SPEECH
    confirm: ConfirmedIds = CONFIRM

    def prompt_fields(self) -> Mapping[str, str]:
        """What the prompt file may name."""
        return {}

    def wanted(self) -> Wanted | None:
        """The stored character that may answer."""
        return None

    @property
    def wants_references(self) -> bool:
        """Whether the caller asked for the web."""
        return False


class OfficeRequest(ChatRequest):
    """A question for the business assistant."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input_data": "안녕하세요!", "user_id": "test_user"}]},
    )

    google_access: bool = Field(
        False, description="Use the web: the question, as it is, goes to a search engine, unless `local_only`."
    )

    @property
    def wants_references(self) -> bool:
        """Whether the caller asked for the web."""
        return self.google_access


class CharacterRequest(ChatRequest):
    """A line for a persona."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input_data": "안녕하세요!",
                    "character_name": "AI Assistant",
                    "greeting": "안녕하세요! 반갑습니다.",
                    "context": "친근한 AI 어시스턴트",
                    "db_id": "test-uuid",
                    "user_id": "test_user",
                }
            ]
        },
    )

    character_name: str = Field(min_length=1, max_length=100, description="The persona's name.")
    greeting: str = Field(max_length=2_000, description="What the persona says first.")
    context: str = Field(
        max_length=4_000,
        description="Personality, way of speaking, setting. Empty, and `character_name` names a stored character: that "
        "one answers, with `greeting` in the place of its own where that is not empty.",
    )
    greeting_index: int = GREETING_INDEX
    user_name: str = USER_NAME
    upgrade_character: bool = UPGRADE

    def prompt_fields(self) -> Mapping[str, str]:
        """What the prompt file may name."""
        return {"character_name": self.character_name, "greeting": self.greeting, "context": self.context}

    def wanted(self) -> Wanted | None:
        """The stored character that may answer; the request's own words win."""
        fields = self.prompt_fields()
        return wanted_character(fields, self.greeting_index, self.user_name, upgrades=self.upgrade_character)


def wanted_character(
    fields: Mapping[str, str], greeting_index: int, user_name: str, *, upgrades: bool
) -> Wanted | None:
    """The stored character that a request may name; None where the request says by itself who answers."""
    if fields["context"].strip() or not is_name(fields["character_name"]):
        return None
    greeting = fields["greeting"] or None
    return Wanted(fields["character_name"], None, greeting, greeting_index, user_name, upgrades)


_Schema = TypeVar("_Schema", bound=BaseModel)

# Types of pydantic's errors -> key of the text, and which of their numbers it shows under which name.
_PROBLEMS: Final[Mapping[str, tuple[str, dict[str, str]]]] = {
    "missing": ("required", {}),
    "string_type": ("not_text", {}),
    "bool_type": ("not_boolean", {}),
    "int_type": ("not_integer", {}),
    "int_from_float": ("not_integer", {}),
    "float_type": ("not_number", {}),
    "finite_number": ("not_number", {}),
    "list_type": ("not_list", {}),
    "model_type": ("not_object", {}),
    "model_attributes_type": ("not_object", {}),
    "dict_type": ("not_object", {}),
    "string_too_short": ("too_short", {"min_length": "minimum"}),
    "string_too_long": ("too_long", {"max_length": "maximum"}),
    "too_short": ("too_few", {"min_length": "minimum"}),
    "too_long": ("too_many", {"max_length": "maximum"}),
    "less_than_equal": ("too_large", {"le": "maximum"}),
    "greater_than_equal": ("too_small", {"ge": "minimum"}),
    "greater_than": ("not_above", {"gt": "minimum"}),
    "literal_error": ("wrong_choice", {"expected": "allowed"}),
    "string_pattern_mismatch": ("bad_name", {}),  # only names have a pattern
    "extra_forbidden": ("not_supported", {}),
    "not_printable": ("not_printable", {}),
    "control_characters": ("control_characters", {}),
    "not_supported": ("not_supported", {}),
    "bad_history_entry": ("bad_history_entry", {}),
    "last_not_user": ("last_not_user", {}),
    "bad_format_name": ("bad_format_name", {"maximum": "maximum"}),
    "too_many_bytes": ("too_many_bytes", {"maximum": "maximum"}),
    "send_tools": ("send_tools", {}),
    "send_texts": ("send_texts", {}),
    "send_tool_choice": ("send_tool_choice", {}),
    "named_twice": ("named_twice", {}),
    "bad_tool_choice": ("bad_tool_choice", {}),
    "choice_without_tools": ("choice_without_tools", {}),
    "choice_unknown": ("choice_unknown", {}),
    "result_without_call": ("result_without_call", {"index": "index"}),
    "call_without_result": ("call_without_result", {"index": "index"}),
}


def validated(schema: type[_Schema], body: Mapping[str, Any]) -> _Schema:
    """A body as its schema.

    Raises:
        InvalidInput: The first wrong field, with what to send instead.
    """
    try:
        return schema.model_validate(body)
    except ValidationError as exc:
        raise _invalid_input(exc.errors(include_url=False, include_input=False)[0]) from None


def count_unknown(schema: type[BaseModel], body: Mapping[str, Any]) -> int:
    """How many fields of a body are ignored because the schema does not know them."""
    return sum(1 for name in body if name not in schema.model_fields)


def _invalid_input(error: ErrorDetails) -> InvalidInput:
    problem, numbers = _PROBLEMS.get(error["type"], ("wrong_type", {}))
    context = error.get("ctx", {})
    shown = {name: context[key] for key, name in numbers.items()}
    return InvalidInput(_path(error["loc"]), problem, **(shown | ({"maximum": 64} if problem == "bad_name" else {})))


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path
