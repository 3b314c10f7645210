"""What makes office office and character character."""

from dataclasses import dataclass
from typing import Final

from chatbot.api.schemas import CharacterRequest, ChatRequest, OfficeRequest
from chatbot.api.sessions.schemas import CharacterSessionRequest, SessionRequest


@dataclass(frozen=True, slots=True)
class Profile:
    """One service.

    Attributes:
        name: Value of the label `service`, folder of the prompts, prefix at the gateway.
        title: For people, in the docs.
        default_port: Where `CHATBOT_HTTP_PORT` is not set.
        request: Body of `POST /Llama` and `POST /OpenAI`.
        session_request: Body of `POST /chat`.
        has_tools: Whether the local model may call the service's own tools, where no setting says it.
        has_characters: Whether tenants may keep characters here, which answer as models of their own.
    """

    name: str
    title: str
    description: str
    default_port: int
    request: type[ChatRequest]
    session_request: type[SessionRequest]
    has_tools: bool
    has_characters: bool = False


OFFICE: Final = Profile(
    name="office",
    title="ChatBot AI: office",
    description="A business assistant: kind and concise, in Korean unless the user's language is another.",
    default_port=8002,
    request=OfficeRequest,
    session_request=SessionRequest,
    has_tools=True,
)
CHARACTER: Final = Profile(
    name="character",
    title="ChatBot AI: character",
    description="Role-play: keeps the persona's personality, way of speaking and setting.",
    default_port=8003,
    request=CharacterRequest,
    session_request=CharacterSessionRequest,
    has_tools=False,
    has_characters=True,
)
