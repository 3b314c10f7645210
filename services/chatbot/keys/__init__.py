"""`chatbot-keys`: API keys from the command line, on the same settings and the same store as the services."""

from chatbot.keys.command import main

__all__ = ["main"]
