"""Takes the chat templates that llama.cpp carries for its own tests out of the locked sdist, and prints their folder.

They are what model families publish, and tests compare prompts with them; nothing of the product reads one (ADR 0008).
Kept outside the tree, once per sdist. Run by the Python of .tools, which has pip; with --cached it fetches nothing.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from llama_wheel import NAME, ROOT

WANTED = ("meta-llama-", "mistralai-", "Mistral-", "Qwen-Qwen2.5-7B", "Qwen-Qwen3-0.6B")


def main() -> None:
    """Fetch them where no kept ones fit (with `--cached`: fail instead), and print their folder."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    package = next(each for each in lock["package"] if each["name"] == NAME)
    digest = package["sdist"]["hash"]
    key = hashlib.sha256(f"{digest} {WANTED}".encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "chatbot-build" / f"llama-templates-{key}"
    if "--cached" in sys.argv and not (folder / "templates").exists():
        sys.exit(f"there is no {folder / 'templates'}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two downloads at once would only slow each other
        if not (folder / "templates").exists():
            _fetch(folder, package["version"], digest)
    print(folder / "templates")  # noqa: T201 - this is the script's answer


def _fetch(folder: Path, version: str, digest: str) -> None:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{NAME}=={version} --hash={digest}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", NAME, "--require-hashes"]
    subprocess.run(  # noqa: S603 - made of the locked inputs above
        [*pip, "--dest", str(folder), "--requirement", str(requirement)], stdout=sys.stderr, check=True
    )
    (archive,) = folder.glob("*.tar.gz")
    new = folder / "new"
    new.mkdir(exist_ok=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            name = Path(member.name)
            content = packed.extractfile(member) if name.match("models/templates/*.jinja") else None
            if content is not None and name.name.startswith(WANTED):
                (new / name.name).write_bytes(content.read())
    archive.unlink()
    new.rename(folder / "templates")


if __name__ == "__main__":
    main()
