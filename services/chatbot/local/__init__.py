"""Both services on one machine: `chatbot-local`."""

import os
import signal
import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""Exit code after Ctrl-C before anything was served, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal; see `chatbot.local.start.main`."""
    # The import takes a second, in which somebody may press Ctrl-C. Python drops what a signal raises inside a weak
    # reference's callback, and importlib has one for each module: the interrupt would be printed and forgotten.
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from chatbot.local.start import main as start

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        start(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
