"""The locked sdist of llama-cpp-python: what is made of it is kept outside the tree, once per inputs.

The home of all of it is ~/.cache/chatbot-build/. Unpacking wants pip, which the Python of .tools has.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "llama-cpp-python"


@dataclass(frozen=True)
class Locked:
    """The sdist that uv.lock names; `digest` as it stands there, `variables` are pyproject.toml's for its build."""

    version: str
    digest: str
    variables: dict[str, str]

    @property
    def requirement(self) -> str:
        """A line of a requirements file that takes no other."""
        return f"{NAME}=={self.version} --hash={self.digest}\n"


def locked() -> Locked:
    """As the two files say."""
    package = next(one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if one["name"] == NAME)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    variables = project["tool"]["uv"]["extra-build-variables"][NAME]
    return Locked(package["version"], package["sdist"]["hash"], variables)


def home(name: str, inputs: Sequence[object]) -> Path:
    """The folder of something that is made of these inputs; it need not be there."""
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "chatbot-build" / f"{name}{key}"


def once(folder: Path, is_there: Callable[[], object], make: Callable[[], None]) -> None:
    """Make what is not there; one process at a time, two would only slow each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_there():
            make()


def pip(source: Locked, folder: Path, *arguments: str, variables: dict[str, str] | None = None) -> None:
    """Let pip do something with the sdist and nothing else."""
    requirement = folder / "requirement.txt"
    requirement.write_text(source.requirement)
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps", "--no-binary", NAME]
    subprocess.run(  # noqa: S603 - every word of the command comes from the two files named above
        [*command, "--require-hashes", "--requirement", str(requirement)],
        env={**os.environ, **(variables or {})},
        stdout=sys.stderr,
        check=True,
    )


def archive(source: Locked, folder: Path) -> Path:
    """The sdist's archive, fetched into a folder."""
    pip(source, folder, "download", "--dest", str(folder))
    (found,) = folder.glob("*.tar.gz")
    return found
