"""The office service: a business assistant."""

from typing import Final

from chatbot.api.schemas import OfficeRequest
from chatbot.api.service import Profile
from chatbot.server.run import main as run

OFFICE: Final = Profile(
    name="office",
    title="ChatBot AI: office",
    description="A business assistant: kind and concise, in Korean unless the user's language is another.",
    default_port=8002,
    request=OfficeRequest,
)


def main() -> None:
    """Serve office until a signal ends it."""
    run(OFFICE)
