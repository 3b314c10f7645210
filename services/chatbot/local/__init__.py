"""Both services on one machine: `chatbot-local`."""

import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""Exit code after Ctrl-C before anything was served, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal; see `chatbot.local.start.main`."""
    try:
        from chatbot.local.start import main as start  # takes a second, in which somebody may press Ctrl-C

        start(arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
