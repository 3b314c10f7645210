"""The character service: role-play that keeps its persona."""

from chatbot.api.profiles import CHARACTER
from chatbot.server.run import main as run

__all__ = ["CHARACTER", "main"]


def main() -> None:
    """Serve character until a signal ends it."""
    run(CHARACTER)
