"""What `POST /chat` takes: fields, bounds, and what is refused instead of being ignored."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from chatbot.api.documents.schemas import COLLECTION_PATTERN
from chatbot.api.schemas import (
    DB_ID_PATTERN,
    GREETING_INDEX,
    NO_MEMORY,
    STORE,
    UPGRADE,
    USER_NAME,
    TextModel,
    ToolName,
    UserId,
    wanted_character,
)
from chatbot.api.style.fields import SPEECH, SpeechFields
from chatbot.api.tools.confirming import CONFIRM, ConfirmedIds
from chatbot.core.characters.casting import Wanted
from chatbot.domain.chat import Message
from chatbot.domain.errors import InvalidInput

MAX_HISTORY_CHARACTERS: Final = 20_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _to_nfc(value: object) -> object:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _without_controls(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("control_characters", "has control characters")
    return value


def _named_entry(value: object) -> object:
    """`"role:content"`, split at the first colon, as an object."""
    if not isinstance(value, str):
        return value
    role, colon, content = value.partition(":")
    if not colon:
        raise PydanticCustomError("bad_history_entry", "has no role")
    return {"role": role.strip().lower(), "content": content.strip()}


def _names(value: object) -> object:
    return {"auto": None, "none": []}.get(value, value) if isinstance(value, str) else value


def _nothing(value: object) -> object:
    return None if value is False else value


class HistoryEntry(TextModel):
    """Something that was said before."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=8_000)


_ENTRY_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "pattern": "^(user|assistant):", "examples": ["user:안녕하세요!"]},
        {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "role": {"enum": ["user", "assistant"]},
                "content": {"type": "string", "minLength": 1, "maxLength": 8_000},
            },
        },
    ]
}
_Entry = Annotated[HistoryEntry, BeforeValidator(_named_entry), WithJsonSchema(_ENTRY_SCHEMA)]
# The bound stands before what brings it to NFC: the other way round it is that of a list, and named so.
_Note = Annotated[str, Field(max_length=500), BeforeValidator(_to_nfc), AfterValidator(_without_controls)]
_ToolNames = Annotated[
    Annotated[list[ToolName], Field(max_length=16)] | None,
    BeforeValidator(_names),
    WithJsonSchema(
        {"anyOf": [{"enum": ["auto", "none", None]}, {"type": "array", "maxItems": 16, "items": {"type": "string"}}]}
    ),
]
_Name = Annotated[str, Field(pattern=COLLECTION_PATTERN)]
_Value = Annotated[str, Field(max_length=500)]


class SessionDocuments(TextModel):
    """Which of the user's documents are looked at; `{}` is all of them."""

    collections: list[_Name] = Field([], max_length=16, description="Only these; empty means all.")
    ids: list[_Name] = Field([], max_length=16, description="Only these documents; empty means all.")
    k: int = Field(5, ge=1, le=20, description="Passages at most.")
    filters: Annotated[dict[_Name, _Value], Field(max_length=16)] = Field({}, description="Metadata that is equal.")


_Documents = Annotated[SessionDocuments | None, BeforeValidator(_nothing)]


class SessionRequest(TextModel):
    """A message of a session. One of `message` and `user_message` is needed."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["message"]}, {"required": ["user_message"]}],
            "examples": [{"message": "안녕하세요!", "user_id": "test_user"}],
        },
    )

    message: str | None = Field(None, min_length=1, max_length=500, description="What the user says.")
    user_message: str | None = Field(None, min_length=1, max_length=500, description="The same by another name.")
    session_id: str | None = Field(
        None, pattern=DB_ID_PATTERN, description="Session to continue or start (a `db_id`). Absent: one is made."
    )
    user_id: UserId | None = Field(
        None, description="Who talks. Absent, and no key that is bound to a user: nothing is remembered."
    )
    role: str = Field("", max_length=2_000, description="Instruction that is added to the service's own.")
    memory_context: list[_Note] = Field([], max_length=20, description="Notes about the user; told, not stored.")
    memory: int | None = Field(None, ge=0, le=1_000, description="Stored turns that are recalled; absent: all kept.")
    conversation_history: list[_Entry] | None = Field(
        None, max_length=40, description="Takes the place of the stored turns for this answer, and is not stored."
    )
    language: Literal["ko", "en", "ja"] | None = Field(None, description="Of the answer and of texts for people.")
    model: str = Field("local", min_length=1, max_length=200, description="local, openai, or an id of `/v1/models`.")
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tools: _ToolNames = Field(None, description="auto (default), none, or names of `/info`'s `tools`.")
    documents: _Documents = Field(None, description="Answer from the user's documents. Absent or false: without.")
    google_access: bool = Field(False, description="Use the web, as on `/Llama`; nothing of `documents` is sent there.")
    local_only: bool = Field(False, description="Never leave the local model; holds for the whole session.")
    store: bool = STORE
    no_memory: bool = NO_MEMORY
    speech: SpeechFields | None = SPEECH
    confirm: ConfirmedIds = CONFIRM
    free_mode: bool | None = Field(
        None,
        description="Whether the second backend may be used with the service's key, also where a key of one's own is"
        " refused; absent: yes.",
    )
    api_key: str | None = Field(
        None,
        description="A key of one's own for the second backend, 20-256 characters; or the header X-Upstream-Api-Key."
        " Never kept.",
        repr=False,
        json_schema_extra={"writeOnly": True, "format": "password"},
    )

    @model_validator(mode="after")
    def _whole(self) -> "SessionRequest":
        # What is no ValueError leaves pydantic as it is, with the field that the whole is told by.
        if self.message is not None and self.user_message is not None:
            raise InvalidInput("user_message", "message_twice")
        if self.message is None and self.user_message is None:
            raise InvalidInput("message", "required")
        said = sum(len(entry.content) for entry in self.conversation_history or ())
        if said > MAX_HISTORY_CHARACTERS:
            raise InvalidInput("conversation_history", "too_long", maximum=MAX_HISTORY_CHARACTERS)
        return self

    @property
    def text(self) -> str:
        """What the user says."""
        return self.message or self.user_message or ""

    @property
    def text_field(self) -> str:
        """By which name it came."""
        return "user_message" if self.message is None else "message"

    def prompt_fields(self) -> Mapping[str, str]:
        """What the prompt file may name."""
        return {}

    def wanted(self) -> Wanted | None:
        """The stored character that may answer."""
        return None

    def history(self) -> tuple[Message, ...] | None:
        """The history that the caller brought."""
        if self.conversation_history is None:
            return None
        return tuple(Message(entry.role, entry.content) for entry in self.conversation_history)


class CharacterSessionRequest(SessionRequest):
    """A message to a persona; the persona comes with each message."""

    character_name: str = Field("AI Assistant", min_length=1, max_length=100, description="The persona's name.")
    greeting: str = Field("", max_length=2_000, description="What the persona says first.")
    context: str = Field(
        "", max_length=4_000, description="Personality, way of speaking, setting. Empty: as on `/Llama`."
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
