"""The character service: role-play that keeps its persona."""

from typing import Final

from chatbot.api.schemas import CharacterRequest
from chatbot.api.service import Profile
from chatbot.server.run import main as run

CHARACTER: Final = Profile(
    name="character",
    title="ChatBot AI: character",
    description="Role-play: keeps the persona's personality, way of speaking and setting.",
    default_port=8003,
    request=CharacterRequest,
)


def main() -> None:
    """Serve character until a signal ends it."""
    run(CHARACTER)
