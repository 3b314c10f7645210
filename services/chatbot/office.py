"""The office service: a business assistant."""

from chatbot.api.profiles import OFFICE
from chatbot.server.run import main as run

__all__ = ["OFFICE", "main"]


def main() -> None:
    """Serve office until a signal ends it."""
    run(OFFICE)
