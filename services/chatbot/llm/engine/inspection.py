"""Look at a model's header without loading it: `python -m chatbot.llm.engine.inspection PATH`.

A process of its own for the reason of docs/adr/0003: a hostile file may cost it its memory or its life, and nothing
else's. It prints one line of JSON, `{"reason": …, "message": …}`, where the file can be told to be bad from its header
and its length, and nothing otherwise.
"""

import json
import sys
from pathlib import Path

from chatbot.domain.model import ModelReason
from chatbot.llm.engine.native.gguf_header import InvalidGguf, read_gguf_header


def main() -> None:
    """Inspect the file that the command line names."""
    try:
        read_gguf_header(Path(sys.argv[1]))
    except InvalidGguf as exc:
        message = f"{exc}; download it again and compare its sha256"
        sys.stdout.write(json.dumps({"reason": ModelReason.MODEL_INVALID, "message": message}))
    except OSError:
        pass  # what cannot be read is told by whoever loads it


if __name__ == "__main__":
    main()
