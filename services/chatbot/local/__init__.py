"""Both services on one machine: `chatbot-local`."""

from chatbot.local.start import main

__all__ = ["main"]
