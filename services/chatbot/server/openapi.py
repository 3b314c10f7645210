"""`python -m chatbot.server.openapi <folder>`: write the OpenAPI files, for `make generate`."""

import json
import sys
from pathlib import Path

from chatbot.api.admin.document import admin_document
from chatbot.api.openapi.document import document
from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.server.app import build_api


def write(folder: Path) -> None:
    """Write `<service>.json` of both services, and `admin.json` of what administrators have on the metrics port."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {profile.name: document(build_api(profile), profile) for profile in (OFFICE, CHARACTER)}
    for name, described in {**documents, "admin": admin_document()}.items():
        text = json.dumps(described, ensure_ascii=False, indent=2) + "\n"
        (folder / f"{name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
