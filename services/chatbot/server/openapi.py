"""`python -m chatbot.server.openapi <folder>`: write the OpenAPI file of each service, for `make generate`."""

import json
import sys
from pathlib import Path

from chatbot.api.openapi.document import document
from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.server.app import build_api


def write(folder: Path) -> None:
    """Write `<service>.json` of both services."""
    folder.mkdir(parents=True, exist_ok=True)
    for profile in (OFFICE, CHARACTER):
        described = document(build_api(profile), profile)
        text = json.dumps(described, ensure_ascii=False, indent=2) + "\n"
        (folder / f"{profile.name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
