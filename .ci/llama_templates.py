"""Takes the chat templates that llama.cpp carries for its own tests out of the locked sdist, and prints their folder.

They are what model families publish, and tests compare prompts with them; nothing of the product reads one (ADR 0008).
Kept outside the tree, once per sdist. Run by the Python of .tools, which has pip; with --cached it fetches nothing.
"""

import sys
import tarfile
from pathlib import Path

from llama_source import Locked, archive, home, locked, once

WANTED = ("meta-llama-", "mistralai-", "Mistral-", "Qwen-Qwen2.5-7B", "Qwen-Qwen3-0.6B")


def main() -> None:
    """Fetch them where no kept ones fit (with `--cached`: fail instead), and print their folder."""
    source = locked()
    folder = home("llama-templates-", [source.digest, WANTED])
    there = (folder / "templates").exists
    if "--cached" in sys.argv and not there():
        sys.exit(f"there is no {folder / 'templates'}")
    once(folder, there, lambda: _fetch(folder, source))
    print(folder / "templates")  # noqa: T201 - this is the script's answer


def _fetch(folder: Path, source: Locked) -> None:
    packed_up, new = archive(source, folder), folder / "new"
    new.mkdir(exist_ok=True)
    with tarfile.open(packed_up) as packed:
        for member in packed:
            name = Path(member.name)
            content = packed.extractfile(member) if name.match("models/templates/*.jinja") else None
            if content is not None and name.name.startswith(WANTED):
                (new / name.name).write_bytes(content.read())
    packed_up.unlink()
    new.rename(folder / "templates")


if __name__ == "__main__":
    main()
